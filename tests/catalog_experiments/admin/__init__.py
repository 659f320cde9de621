"""Tests of the control center and the registered tables."""
