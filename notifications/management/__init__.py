"""Holds the commands of `notifications`."""
