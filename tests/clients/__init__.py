"""Unmodified clients of other houses, each a program or a library of its own, against our live server."""
