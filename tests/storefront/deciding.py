"""Decisions on the cup's page, of two visitors who stand in different variants."""

from __future__ import annotations

from typing import Any

from storefront.decisions import Decision, decide

LOW, HIGH = "a", "b"  # buckets 505 and 2696 under the salt "seed"


def decided(unit_id: str, context: dict[str, Any] | None = None) -> Decision:
    """Return what the cup's page shows to a visitor."""
    found = decide(unit_id, context or {}, product_slug="cup")
    assert found is not None
    return found
