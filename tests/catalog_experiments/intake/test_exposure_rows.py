"""Long chunks of exposures are copied, short ones merged: both ends in the same rows, and nobody tells them apart."""

import dataclasses
import datetime as dt
from collections import Counter
from typing import Any

import pytest
from django.utils import timezone

from catalog_experiments.intake import ExposureEvent, exposures, record_exposures
from catalog_experiments.models import ErasedUnit, Exposure, Phase, PhaseOrigin
from catalog_experiments.units import digest_unit
from tests.builders import NOON, make_running_experiment

pytestmark = pytest.mark.django_db

HOUR = dt.timedelta(hours=1)
NOW = NOON + 2 * HOUR
LONG = exposures.COPIED_FROM + 20


@pytest.fixture
def many() -> list[ExposureEvent]:
    """Return so many reports that they are copied, each of another unit; every claim is taken as given."""
    make_running_experiment()
    Phase.objects.update(origin=PhaseOrigin.IMPORTED)
    return [
        ExposureEvent(
            "cup-saucer",
            f"u{number}",
            "test" if number % 3 else "control",
            NOON + number * dt.timedelta(seconds=1),
            segments={"city": 'Kö"ln'} if number % 2 else None,
            traffic="bot" if number % 30 == 0 else None,
        )
        for number in range(LONG)
    ]


def outcomes(events: list[ExposureEvent]) -> Counter[tuple[str, str]]:
    return Counter((result.outcome, result.code) for result in record_exposures(events, now=NOW))


def rows() -> list[tuple[Any, ...]]:
    fields = [field.name for field in Exposure._meta.concrete_fields if field.name not in ("id", "recorded_at")]
    return list(Exposure.objects.order_by("unit").values_list(*fields))


def test_exposures__copied_and_merged__end_in_equal_rows(many: list[ExposureEvent]) -> None:
    record_exposures(many, now=NOW)
    copied = rows()
    Exposure.objects.all().delete()

    for start in range(0, LONG, 100):
        record_exposures(many[start : start + 100], now=NOW)

    assert len(copied) == LONG
    assert rows() == copied


def test_exposures__copied__are_stamped_by_the_clock_of_the_database(many: list[ExposureEvent]) -> None:
    record_exposures(many, now=NOW)

    stamps = set(Exposure.objects.values_list("recorded_at", flat=True))
    assert all(abs(stamp - timezone.now()) < dt.timedelta(minutes=1) for stamp in stamps)


def test_exposures__one_of_many_known__is_merged_and_the_others_are_stored(many: list[ExposureEvent]) -> None:
    earlier = dataclasses.replace(many[-1], exposed_at=NOON)
    record_exposures([many[7], many[-1]], now=NOW)

    told = outcomes([*many[:-1], earlier])

    assert told == {("accepted", ""): LONG - 1 - 18, ("accepted", "excluded"): 18, ("duplicate", ""): 1}
    assert Exposure.objects.count() == LONG
    assert Exposure.objects.get(unit=digest_unit(many[-1].unit_id)).exposed_at == NOON


def test_exposures__many_sent_again__are_all_duplicates(many: list[ExposureEvent]) -> None:
    record_exposures(many, now=NOW)
    first = rows()

    told = outcomes(many)

    assert told == {("duplicate", ""): LONG}
    assert rows() == first


def test_exposures__chunks_after_a_known_one__are_merged(
    many: list[ExposureEvent], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exposures, "CHUNK", 100)
    monkeypatch.setattr(exposures, "COPIED_FROM", 100)
    record_exposures(many[100:101], now=NOW)

    told = outcomes(many)

    assert told["duplicate", ""] == 1
    assert sum(told.values()) == LONG == Exposure.objects.count()


@pytest.mark.parametrize("count", [10, LONG])
def test_exposures__of_an_erased_unit_among_others__is_refused_alone(many: list[ExposureEvent], count: int) -> None:
    ErasedUnit.objects.create(digest=digest_unit("u5"), erased_at=NOON)

    results = record_exposures(many[:count], now=NOW)

    assert [result.index for result in results if result.code == "erased"] == [5]
    assert Exposure.objects.count() == count - 1
    assert not Exposure.objects.filter(unit=digest_unit("u5")).exists()
