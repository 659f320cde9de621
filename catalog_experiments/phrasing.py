"""Numbers as merchandisers read them: two decimals for rates, one for lifts, a true minus sign. Pure."""

_NONE = "–"
_MINUS = "−"


def rate_text(value: float | None) -> str:
    """Write a fraction as per cent with two decimals, or an en dash for None.

    >>> rate_text(0.0734)
    '7.34 %'
    """
    return _NONE if value is None else f"{100 * float(value):.2f} %"


def lift_text(value: float | None) -> str:
    """Write a relative lift (fraction) as signed per cent with one decimal, or an en dash for None.

    >>> lift_text(0.093), lift_text(-0.348)
    ('+9.3 %', '−34.8 %')
    """
    if value is None:
        return _NONE
    sign = _MINUS if value < 0 else "+"
    return f"{sign}{abs(100 * float(value)):.1f} %"


def range_text(interval: tuple[float, float] | None) -> str:
    """Write a lift interval in words, or '' for None; no line breaks between a number and its sign of per cent.

    >>> range_text((-0.02, 0.163)).split()
    ['likely', '−2.0', '%', 'to', '+16.3', '%']
    """
    if interval is None:
        return ""
    lower, upper = (lift_text(limit).replace(" ", "\u00a0") for limit in interval)
    return f"likely {lower} to {upper}"


def money_text(minor: float | None, currency: str) -> str:
    """Write minor units in the currency, or an en dash for None.

    >>> money_text(375, "EUR")
    '3.75 EUR'
    """
    return _NONE if minor is None else f"{minor / 100:,.2f} {currency}"


def contrast_text(value: float | None, currency: str = "") -> str:
    """Write a signed difference in points, or in minor units of a currency where one is named; an en dash for None.

    >>> contrast_text(-0.0123), contrast_text(45.0, "EUR")
    ('−1.23 points', '+0.45 EUR')
    """
    if value is None:
        return _NONE
    amount = money_text(abs(value), currency) if currency else f"{abs(100 * value):.2f} points"
    return f"{_MINUS if value < 0 else '+'}{amount}"


def plain_text(value: float | None) -> str:
    """Write a plain number with two decimals, or an en dash for None.

    >>> plain_text(1.234), plain_text(-0.5)
    ('1.23', '−0.50')
    """
    if value is None:
        return _NONE
    return f"{_MINUS if value < 0 else ''}{abs(value):.2f}"


def times_text(factor: float) -> str:
    """Write an evidence factor; 'none' below 1 and a ceiling at a million.

    >>> times_text(44.2), times_text(3.94), times_text(0.2)
    ('44×', '3.9×', 'none')
    """
    if factor < 1:
        return "none"
    if factor > 1_000_000:
        return "over 1,000,000×"
    return f"{factor:,.0f}×" if factor >= 10 else f"{factor:.1f}×"
