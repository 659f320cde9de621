"""What a publish would change: the phase as it is served now beside the variants as they stand."""

from dataclasses import dataclass

from catalog_experiments.models import Experiment


@dataclass(frozen=True, slots=True)
class Difference:
    """One changed value in words; `before` is '' for what shoppers have not seen yet."""

    what: str
    before: str
    after: str


def pending_differences(experiment: Experiment) -> list[Difference]:
    """List what goes live with the next publish: all offers of a draft, else the stored pending edits."""
    if experiment.current_phase is None:
        return [
            Difference(
                f"{variant.name} ({variant.key})",
                "",
                _offer(variant.bundle_id, variant.weight, variant.override_payload),
            )
            for variant in experiment.variants.all()
        ]
    served = {entry["key"]: entry for entry in experiment.current_phase.variants}
    return [
        Difference(f"{key}", _served_offer(served.get(key)), _served_offer(entry))
        for key, entry in _pending_variants(experiment).items()
        if _served_offer(served.get(key)) != _served_offer(entry)
    ]


def _pending_variants(experiment: Experiment) -> dict[str, dict[str, object]]:
    return {str(entry["key"]): entry for entry in experiment.pending_changes.get("variants", [])}


def _served_offer(entry: dict[str, object] | None) -> str:
    if entry is None:
        return ""
    return _offer(entry.get("bundle_slug"), entry.get("weight", 0), entry.get("override_payload", {}))


def _offer(bundle_slug: object, weight: object, payload: object) -> str:
    text = f"{bundle_slug or 'no offer'}, weight {weight}"
    return f"{text}, payload {payload}" if payload else text
