"""Tests of `catalog_experiments.aggregation`."""
