"""How the control center's templates write numbers and draw icons."""

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from catalog_experiments.phrasing import lift_text, rate_text

register = template.Library()

_CIRCLE = "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18"

PATHS: dict[str, str] = {
    "hourglass": "M6 3h12M6 21h12M7 3c0 5 4 6 5 9-1 3-5 4-5 9M17 3c0 5-4 6-5 9 1 3 5 4 5 9",
    "tick": f"{_CIRCLE}M8.5 12.5l2.5 2.5 4.5-5.5",
    "triangle": "M12 4 2.8 20h18.4zM12 10v4.5M12 17.4v.1",
    "pause": f"{_CIRCLE}M10 9v6M14 9v6",
    "octagon": "M8.2 3h7.6L21 8.2v7.6L15.8 21H8.2L3 15.8V8.2zM9 12h6",
    "pen": "M4 20l1-4L16.5 4.5l3 3L8 19zM14 7l3 3",
    "flag": "M5 21V4M5 5h13l-3 4 3 4H5",
    "play": f"{_CIRCLE}M10 8.5v7l5.5-3.5z",
    "plus": "M12 5v14M5 12h14",
    "person": "M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8M4 21c0-4 3.500-6 8-6s8 2 8 6",
    "calendar": "M4 6h16v14H4zM4 10h16M8 3v4M16 3v4",
    "clock": f"{_CIRCLE}M12 7v5l3 2",
    "box": "M4 8l8-4 8 4v9l-8 4-8-4zM4 8l8 4 8-4M12 12v9",
    "search": "M11 18a7 7 0 1 0 0-14 7 7 0 0 0 0 14M20 20l-4-4",
    "cross": "M6 6l12 12M18 6L6 18",
    "bell": "M6 17V11a6 6 0 0 1 12 0v6l2 2H4zM10 21h4",
    "copy": "M8 8h12v12H8zM4 16V4h12",
    "stairs": "M4 20h4v-5h4v-5h4V5h4",
    "gauge": "M4 18a8 8 0 1 1 16 0M12 18l4-6",
}


@register.simple_tag
def icon(name: str) -> SafeString:
    """Draw the line icon `name` (24 by 24 grid) as an inline SVG in the text's color, hidden from screen readers."""
    return format_html(
        '<svg class="cc-i" viewBox="0 0 24 24" aria-hidden="true" focusable="false"><path d="{}"/></svg>', PATHS[name]
    )


@register.filter
def rate(value: float | None) -> str:
    """Write a fraction as per cent with two decimals, or an en dash where there is none."""
    return rate_text(value)


@register.filter
def lift(value: float | None) -> str:
    """Write a relative lift as signed per cent with one decimal, or an en dash where there is none."""
    return lift_text(value)
