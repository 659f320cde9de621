"""Money: written as the shop does, split to the last cent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storefront.pricing import format_money, split_price

cents = st.integers(min_value=0, max_value=10_000_000)


@given(total=cents, list_prices=st.lists(cents, min_size=1, max_size=12))
def test_split_price__any_offer__sums_to_its_price(total: int, list_prices: list[int]) -> None:
    prices = split_price(total, list_prices)

    assert sum(prices) == total
    assert min(prices) >= 0


@given(st.lists(cents.filter(bool), min_size=1, max_size=12))
def test_split_price__no_discount__is_the_list_price(list_prices: list[int]) -> None:
    assert split_price(sum(list_prices), list_prices) == tuple(list_prices)


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [(0, "EUR", "€0.00"), (3240, "EUR", "€32.40"), (5, "USD", "$0.05"), (123456, "CHF", "1,234.56 CHF")],
)
def test_format_money__amount__reads_as_in_the_shop(minor: int, currency: str, text: str) -> None:
    assert format_money(minor, currency) == text
