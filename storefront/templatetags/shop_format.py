"""How templates of the shop write money and draw icons."""

from __future__ import annotations

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from storefront.pricing import format_money

register = template.Library()

ICONS = {
    "basket": "M3 4h3l2.5 11h9L20 8H7M10 20h.1M16 20h.1",
    "truck": "M3 6h11v10H3zM14 10h4l3 3v3h-7M7 19a2 2 0 1 0 0-4 2 2 0 0 0 0 4M17 19a2 2 0 1 0 0-4 2 2 0 0 0 0 4",
    "return": "M4 9h11a5 5 0 0 1 0 10h-4M8 5L4 9l4 4",
    "shield": "M12 3l8 3v6c0 5-4 8-8 9-4-1-8-4-8-9V6z",
    "flask": "M9 3h6M10 3v6l-5 9a2 2 0 0 0 2 3h10a2 2 0 0 0 2-3l-5-9V3M7.5 15h9",
    "healthy": "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18M8 12.3l2.7 2.7L16 9.5",
    "paused": "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18M10 9v6M14 9v6",
    "collecting": "M7 3h10M7 21h10M8 3c0 5 8 6 8 9s-8 4-8 9M16 3c0 5-8 6-8 9s8 4 8 9",
    "watch": "M12 4L3 20h18zM12 10v4M12 17h.1",
    "hold": "M8 3h8l5 5v8l-5 5H8l-5-5V8zM12 8v5M12 16h.1",
    "draft": "M4 20l1-4L16 5l3 3L8 19zM14 7l3 3",
    "completed": "M6 21V4M6 4h11l-2 4 2 4H6",
}
FLAT = {"breached": "paused", "outage": "paused"}


@register.filter
def money(minor: int, currency: str) -> str:
    """Write an amount of minor units as the shop does: 3240 of EUR is €32.40."""
    return format_money(minor, currency)


@register.filter
def percent(rate: float | None) -> str:
    """Write a fraction with two decimals: 0.3176 is 31.76 %; None is an en dash."""
    return "\N{EN DASH}" if rate is None else f"{100 * rate:.2f} %"


@register.filter
def lift(relative: float) -> str:
    """Write a relative lift with its sign: 0.093 is +9.3 %."""
    sign = "\N{MINUS SIGN}" if relative < 0 else "+"
    return f"{sign}{abs(100 * relative):.1f} %"


@register.simple_tag
def icon(name: str) -> SafeString:
    """Draw an icon that says nothing of its own: the words stand beside it."""
    return format_html(
        '<svg class="i" viewBox="0 0 24 24" aria-hidden="true" focusable="false"><path d="{}"></path></svg>',
        ICONS[FLAT.get(name, name)],
    )
