"""Money in minor units: how a price is written, and how the price of an offer falls on its pieces. Pure."""

from __future__ import annotations

from collections.abc import Sequence

SYMBOLS = {"EUR": "€", "USD": "$", "GBP": "£"}


def format_money(minor: int, currency: str) -> str:
    """Write an amount as the shop does.

    >>> format_money(3240, "EUR"), format_money(50, "CHF"), format_money(1234567, "GBP")
    ('€32.40', '0.50 CHF', '£12,345.67')
    """
    sign = "\N{MINUS SIGN}" if minor < 0 else ""
    amount = f"{abs(minor) // 100:,}.{abs(minor) % 100:02d}"
    symbol = SYMBOLS.get(currency)
    return f"{sign}{symbol}{amount}" if symbol else f"{sign}{amount} {currency}"


def split_price(total: int, list_prices: Sequence[int]) -> tuple[int, ...]:
    """Split the price of an offer over its pieces in proportion to their list prices, to the last cent.

    Args:
        total: the price of the offer, minor units, not negative.
        list_prices: list price of each piece, minor units, at least one piece.

    Returns:
        One price per piece, in the order given; they sum to `total`. Cents left over go to the dearest pieces.

    >>> split_price(3240, [2400, 1200]), split_price(100, [1, 1, 1]), split_price(5, [0, 0])
    ((2160, 1080), (34, 33, 33), (3, 2))
    """
    whole = sum(list_prices)
    if whole == 0:
        return split_price(total, [1] * len(list_prices))
    prices = [total * price // whole for price in list_prices]
    dearest_first = sorted(range(len(prices)), key=lambda position: -list_prices[position])
    for position in dearest_first[: total - sum(prices)]:
        prices[position] += 1
    return tuple(prices)
