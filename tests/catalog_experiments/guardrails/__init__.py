"""Tests of the guardrails: settings, evidence, verdicts and records."""
