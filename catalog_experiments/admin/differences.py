"""What a publish would change: the phase as it is served now beside the variants as they stand."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from catalog_experiments.models import Experiment


@dataclass(frozen=True, slots=True)
class Difference:
    """One changed value in words; `before` is '' for what shoppers have not seen yet."""

    what: str
    before: str
    after: str


def pending_differences(experiment: Experiment) -> list[Difference]:
    """List what goes live with the next publish: all offers of a draft, else the stored pending edits."""
    return [*_offers(experiment), *_traffic(experiment)]


def _offers(experiment: Experiment) -> list[Difference]:
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


def _traffic(experiment: Experiment) -> Iterator[Difference]:
    if experiment.current_phase is None:
        if experiment.ramp_plan:
            yield Difference("Ramp", "", _shares(experiment.ramp_plan))
        return
    pending = experiment.pending_changes
    if "coverage" in pending:
        wanted = f"{pending['coverage'] / 100:g} %"
        lower = "; fewer visitors open a new phase that counts from zero" if _is_lower(experiment) else ""
        yield Difference("Share of visitors", f"{experiment.coverage / 100:g} %", f"{wanted}{lower}")
    if "ramp_plan" in pending:
        yield Difference("Ramp", _shares(experiment.ramp_plan), _shares(pending["ramp_plan"]))


def _is_lower(experiment: Experiment) -> bool:
    return bool(experiment.pending_changes["coverage"] < experiment.coverage)


def _shares(plan: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(f"{step['coverage'] / 100:g} %" for step in plan) or "none"


def _pending_variants(experiment: Experiment) -> dict[str, dict[str, object]]:
    return {str(entry["key"]): entry for entry in experiment.pending_changes.get("variants", [])}


def _served_offer(entry: dict[str, object] | None) -> str:
    if entry is None:
        return ""
    return _offer(entry.get("bundle_slug"), entry.get("weight", 0), entry.get("override_payload", {}))


def _offer(bundle_slug: object, weight: object, payload: object) -> str:
    text = f"{bundle_slug or 'no offer'}, weight {weight}"
    return f"{text}, payload {json.dumps(payload, ensure_ascii=False)}" if payload else text
