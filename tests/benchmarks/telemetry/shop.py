"""The make-believe shop of the measurement: fifty experiments within thirty days, each on a product page of its own.

Three currencies, two or three variants, controls without an offer, pauses, second phases, segments, unknown costs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from catalog_experiments.intake import ServedSpan, served_spans
from catalog_experiments.models import Bundle, Experiment, ExperimentStatus, Phase
from catalog_experiments.phases.partitions import ensure_exposure_partition
from tests.builders import make_bundle, make_experiment, make_phase

EXPERIMENTS, DAYS = 50, 30
ANCHOR_PRICE, PART_PRICE = 2_400, 900
PAUSED = {
    3: (timedelta(days=12, hours=10), timedelta(days=13, hours=16)),
    17: (timedelta(days=20), timedelta(days=20.25)),
}
"""When two of the experiments were paused, since the start of the thirty days."""

RENEWED_AFTER = timedelta(days=14)


@dataclass(frozen=True)
class Slot:
    """A product page and the phases of its experiment; `bundles` are the ids and parts (products, pieces) offered."""

    number: int
    phases: Sequence[Phase]
    bundles: Sequence[Bundle]

    @property
    def spans(self) -> tuple[tuple[Phase, ServedSpan], ...]:
        """Return when which phase was served."""
        return tuple((phase, span) for phase in self.phases for span in served_spans(phase))


def month_before(now: datetime) -> datetime:
    """Return where the thirty whole days before today begin."""
    return datetime.combine(now.astimezone(UTC), datetime.min.time(), UTC) - timedelta(days=DAYS)


def open_shop(start_at: datetime, *, count: int = EXPERIMENTS) -> list[Slot]:
    """Make the experiments, all running, with their bundles, phases and the partitions of their exposures."""
    for months in range(3):
        ensure_exposure_partition((start_at + timedelta(days=28 * months)).date())
    return [_open_slot(number, start_at) for number in range(count)]


def slots_there(count: int = EXPERIMENTS) -> list[Slot]:
    """Return the slots that are open already."""
    bundles: dict[str, list[Bundle]] = {}
    for bundle in Bundle.objects.order_by("bundle_slug"):
        bundles.setdefault(bundle.primary_product_slug, []).append(bundle)
    found = {each.slug: each for each in Experiment.objects.prefetch_related("phases")}
    return [
        Slot(number, list(found[f"experiment-{number}"].phases.all()), bundles[f"product-{number}"])
        for number in range(count)
    ]


def _open_slot(number: int, start_at: datetime) -> Slot:
    bundles = [_bundle(number, place) for place in range(3 if number % 5 == 1 else 2)]
    without_offer = number % 7 == 6
    experiment = make_experiment(
        slug=f"experiment-{number}",
        name=f"Experiment {number}",
        variants=[
            {
                "key": f"test-{place}" if place else "control",
                "name": f"Variant {place}",
                "weight": 1,
                "is_control": not place,
                "bundle": None if without_offer and not place else bundle,
            }
            for place, bundle in enumerate(bundles)
        ],
    )
    phases = _phases(number, experiment, start_at + timedelta(days=number % 10))
    experiment.current_phase, experiment.status = phases[-1], ExperimentStatus.RUNNING
    experiment.started_at = experiment.published_at = phases[0].opened_at
    experiment.save()
    return Slot(number, phases, bundles)


def _bundle(number: int, place: int) -> Bundle:
    return make_bundle(
        bundle_slug=f"bundle-{number}-{place}",
        primary_product_slug=f"product-{number}",
        components=[
            {"slug": f"product-{number}", "quantity": 1},
            {"slug": f"part-{number}-{place}", "quantity": 1 + place},
        ],
    )


def _phases(number: int, experiment: Experiment, opened_at: datetime) -> list[Phase]:
    start_at = opened_at - timedelta(days=number % 10)
    fixed = {
        "anchor_product_slug": f"product-{number}",
        "currency": "USD" if number % 6 == 4 else "GBP" if number % 10 == 9 else "EUR",
        "caps": {"revenue": 12_000, "margin": 5_000},
        "segments": [*["device"][: number % 2 == 0], *["country"][: number % 5 == 0]],
    }
    if number % 12 != 11:
        gap = [(start_at + edge).isoformat() for edge in PAUSED.get(number, ())]
        return [make_phase(experiment, opened_at=opened_at, unserved_spans=[gap] if gap else [], **fixed)]
    renewed_at = opened_at + RENEWED_AFTER
    first = make_phase(experiment, opened_at=opened_at, closed_at=renewed_at, salt=f"{number:015x}a", **fixed)
    return [first, make_phase(experiment, opened_at=renewed_at, salt=f"{number:015x}b", **fixed)]


def variants_of(phase: Phase) -> list[str]:
    """Return the keys of its variants, control first."""
    return [variant["key"] for variant in phase.variants]


def shelve_more(count: int) -> None:
    """Make so many further running experiments without telemetry, for pages that list them all."""
    for number in range(EXPERIMENTS, EXPERIMENTS + count):
        _open_slot(number, month_before(datetime.now(UTC)))
