"""What the admin theme is told: titles, icon, accent color and sidebar."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse_lazy


def entry(title: str, icon: str, url_name: str) -> dict[str, Any]:
    """Return one entry: a page of the admin, by the name of its URL there."""
    return {"title": title, "icon": icon, "link": reverse_lazy(f"admin:{url_name}")}


def site_icon(request: HttpRequest) -> str:
    """Return the address of the browser tab's icon."""
    return static("catalog_experiments/icon.svg")


NAVIGATION: list[dict[str, Any]] = [
    {
        "title": "Merchandising",
        "items": [
            {"title": "Control center", "icon": "dashboard", "link": "/admin/merchandising/bundles"},
            entry("Experiments", "science", "catalog_experiments_experiment_changelist"),
            entry("Bundles", "redeem", "catalog_experiments_bundle_changelist"),
            entry("Exclusion groups", "call_split", "catalog_experiments_exclusiongroup_changelist"),
            entry("Holdouts", "front_hand", "catalog_experiments_holdout_changelist"),
        ],
    },
    {
        "title": "Operations",
        "items": [
            entry("Alerts", "notifications", "notifications_alert_changelist"),
            entry("Jobs", "schedule", "catalog_experiments_jobrun_changelist"),
            entry("A/A alarms", "balance", "catalog_experiments_canaryalarm_changelist"),
            entry("Audit trail", "history", "catalog_experiments_experimentevent_changelist"),
            entry("API keys", "key", "catalog_experiments_apikey_changelist"),
        ],
    },
]

INDIGO = {
    "50": "#eef2ff",
    "100": "#e0e7ff",
    "200": "#c7d2fe",
    "300": "#a5b4fc",
    "400": "#818cf8",
    "500": "#6366f1",
    "600": "#4f46e5",
    "700": "#4338ca",
    "800": "#3730a3",
    "900": "#312e81",
    "950": "#1e1b4b",
}

THEME = {
    "SITE_TITLE": "smplat",
    "SITE_HEADER": "smplat",
    "SITE_SUBHEADER": "Bundle experiments",
    "SITE_SYMBOL": "science",
    "SHOW_HISTORY": True,
    "SHOW_VIEW_ON_SITE": False,
    "COLORS": {"primary": INDIGO},
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": site_icon}],
    "SIDEBAR": {"show_search": True, "show_all_applications": True, "navigation": NAVIGATION},
}
