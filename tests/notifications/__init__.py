"""Tests of `notifications`, against real receivers."""
