"""Tests of `catalog_experiments.intake`."""
