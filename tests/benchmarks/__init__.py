"""Figures against their goals, measured on this machine: `make bench`, or `python -m tests.benchmarks [NAME]`."""
