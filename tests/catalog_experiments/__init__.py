"""Tests of `catalog_experiments`."""
