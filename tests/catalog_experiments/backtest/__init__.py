"""Tests of the guardrail backtest."""
