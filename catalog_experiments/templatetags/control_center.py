"""How the control center writes numbers and draws icons: rates with two decimals, lifts with one and a true minus."""

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from catalog_experiments.admin.icons import PATHS
from catalog_experiments.admin.wording import lift_text, rate_text

register = template.Library()


@register.simple_tag
def icon(name: str) -> SafeString:
    """Draw the icon `name` as an inline SVG in the text's color, hidden from screen readers."""
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
