"""An A/A canary is only one when its variants are the same in all that a visitor or a guardrail could tell apart."""

from __future__ import annotations

from collections.abc import Iterator

from catalog_experiments.guardrails import BOUNDS
from catalog_experiments.preflight.launch import Check, Launch


def check_canary(launch: Launch) -> Check:
    """Variants of a canary with one bundle and one payload, and no bound that could pause it."""
    if not launch.spec.is_canary:
        return launch.passed("canary", "No canary: its variants may differ.")
    sound = "An A/A canary: every variant is the same, phases of 28 days renew by themselves."
    return launch.found("canary", _faults(launch), sound, outcome="fail")


def _faults(launch: Launch) -> Iterator[str]:
    if control := launch.control:
        for variant in launch.spec.variants:
            if variant.bundle_slug != control.bundle_slug:
                own, other = variant.bundle_slug or "no bundle", control.bundle_slug or "no bundle"
                yield f"{variant.key} offers {own}, the control {other}; a canary's variants are the same."
            if dict(variant.override_payload) != dict(control.override_payload):
                yield f"{variant.key} has another override payload than the control; a canary's variants are the same."
    if bounds := [name for name in BOUNDS if launch.spec.guardrail_config.get(name) is not None]:
        yield f"A canary has no bounds, it is never paused for one; take out {', '.join(bounds)}."
