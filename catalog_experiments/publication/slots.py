"""Who has the offer slot of a product page: of several running experiments one, the others wait and serve control.

The first published keeps the slot for as long as it runs; one that waited gets a new phase when the slot comes free.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db.models import QuerySet

from catalog_experiments.models import Experiment, PhaseOrigin

WAITS = "waits_for_slot"
SINCE = "slot_since"


def claim(experiment: Experiment, *, now: datetime) -> bool:
    """Take the slot of the experiment's page, or join those that wait for it; say whether it waits.

    Sets the experiment's `metadata`, which the caller saves. Call it under the document's lock, so that of two
    publishers one comes first.
    """
    waits = running_rivals(experiment.pk, _anchor(experiment)).exclude(**{f"metadata__{WAITS}": True}).exists()
    experiment.metadata = {**experiment.metadata, WAITS: waits, SINCE: now.isoformat()}
    return waits


def leave(experiment: Experiment) -> None:
    """Give up the slot or the place in the queue; the caller saves `metadata`."""
    experiment.metadata = {name: value for name, value in experiment.metadata.items() if name not in (WAITS, SINCE)}


def waits(experiment: Experiment) -> bool:
    """Say whether the experiment runs without its slot: everyone is served the control and nobody is enrolled."""
    return experiment.metadata.get(WAITS) is True


def running_rivals(experiment_id: UUID, anchor: str) -> QuerySet[Experiment]:
    """Return the other running experiments on a product page, those that wait included; none for a blank page."""
    running = Experiment.objects.running().exclude(pk=experiment_id)
    rivals = running.filter(current_phase__anchor_product_slug=anchor, current_phase__origin=PhaseOrigin.PUBLISHED)
    return rivals if anchor else rivals.none()


def waiting() -> QuerySet[Experiment]:
    """Return the running experiments that wait for their slot, longest waiting first."""
    return Experiment.objects.running().filter(**{f"metadata__{WAITS}": True}).order_by(f"metadata__{SINCE}", "pk")


def _anchor(experiment: Experiment) -> str:
    return experiment.current_phase.anchor_product_slug if experiment.current_phase else ""
