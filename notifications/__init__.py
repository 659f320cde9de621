"""Alerts: an outbox, its channels and their delivery. Knows nothing of experiments."""
