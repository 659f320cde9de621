"""Tests of the statistics: published numbers, oracles and properties."""
