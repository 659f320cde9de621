"""The links by which quality assurance opens each variant of a published experiment on its product page."""

from collections.abc import Iterator
from dataclasses import dataclass

from catalog_experiments.models import Experiment, PhaseOrigin
from catalog_experiments.publication import force_address


@dataclass(frozen=True, slots=True)
class ForceLink:
    """A variant and the address that shows it."""

    name: str
    address: str


def force_links(experiment: Experiment) -> tuple[ForceLink, ...]:
    """Return a link per variant of the current phase, control first; none where no product page serves it."""
    return tuple(_links(experiment))


def _links(experiment: Experiment) -> Iterator[ForceLink]:
    phase = experiment.current_phase
    if phase is None or phase.origin != PhaseOrigin.PUBLISHED or not phase.anchor_product_slug:
        return
    for variant in phase.variants:
        address = force_address(phase.anchor_product_slug, experiment.slug, variant["key"])
        yield ForceLink(variant["name"], address)
