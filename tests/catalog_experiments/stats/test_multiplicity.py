"""Adjusted p-values against statsmodels."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from catalog_experiments.stats.multiplicity import benjamini_hochberg, holm

p_values = st.lists(st.floats(0, 1), min_size=1, max_size=12)


@settings(max_examples=20)
@given(p_values)
def test_holm__any_values__equals_statsmodels(values: list[float]) -> None:
    assert holm(values) == pytest.approx(multipletests(values, method="holm")[1], abs=1e-12)


@settings(max_examples=20)
@given(p_values)
def test_benjamini_hochberg__any_values__equals_statsmodels(values: list[float]) -> None:
    assert benjamini_hochberg(values) == pytest.approx(multipletests(values, method="fdr_bh")[1], abs=1e-12)


def test_adjustments__nothing_compared__are_empty() -> None:
    assert holm([]) == benjamini_hochberg([]) == ()
