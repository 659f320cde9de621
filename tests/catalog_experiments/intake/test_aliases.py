"""One person, many ids: counted once in each open phase, in none after two variants; closed ones stay as they are."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterator

import pytest
from django.db import IntegrityError, transaction

from catalog_experiments.assignment import allocation, bucket, choose_variant
from catalog_experiments.intake import AliasEvent, ExposureEvent, record_aliases, record_exposures
from catalog_experiments.models import Experiment, Exposure, UnitAlias
from catalog_experiments.units import digest_unit
from tests.builders import NOON, make_phase, make_running_experiment

pytestmark = pytest.mark.django_db

LATER = NOON + dt.timedelta(hours=1)
CUSTOMER = "customer-1"
SALT = "0123456789abcdef"


def units(variant_key: str) -> Iterator[str]:
    """Yield visitor ids that the builders' phase assigns to a variant."""
    for number in itertools.count():
        place = choose_variant(allocation([50, 50]), bucket(SALT, f"visitor-{number}"))
        if place is not None and ("control", "test")[place] == variant_key:
            yield f"visitor-{number}"


def meet(unit_id: str, variant_key: str, minutes: int) -> None:
    """Record that a unit met its variant so many minutes after the opening."""
    exposed_at = NOON + dt.timedelta(minutes=minutes)
    event = ExposureEvent("cup-saucer", unit_id, variant_key, exposed_at=exposed_at)
    [result] = record_exposures([event], now=LATER)
    assert result.outcome in ("accepted", "duplicate"), result


def join(visitor_id: str, customer_id: str = CUSTOMER) -> str:
    """Record an alias and return its outcome."""
    [result] = record_aliases([AliasEvent(visitor_id, customer_id)], now=LATER)
    return result.outcome


def marks(unit_id: str) -> str:
    """Return what is marked on a unit's only exposure."""
    row = Exposure.objects.get(unit=digest_unit(unit_id))
    return " ".join(name for name in ("mixed", "merged", "fault") if getattr(row, f"is_{name}"))


@pytest.fixture(autouse=True)
def running() -> Experiment:
    """The cup's experiment, running since noon."""
    return make_running_experiment(now=NOON)


@pytest.mark.parametrize("is_told_first", [True, False])
def test_aliases__same_variant_on_two_devices__later_one_is_merged(is_told_first: bool) -> None:
    phone, desk = itertools.islice(units("test"), 2)
    if is_told_first:
        join(phone), join(desk)
    meet(desk, "test", 20)
    meet(phone, "test", 10)
    if not is_told_first:
        join(phone), join(desk)

    assert (marks(phone), marks(desk)) == ("", "merged")


@pytest.mark.parametrize("is_told_first", [True, False])
def test_aliases__two_variants__count_in_none(is_told_first: bool) -> None:
    phone, desk = next(units("test")), next(units("control"))
    if is_told_first:
        join(phone), join(desk)
    meet(phone, "test", 10)
    meet(desk, "control", 20)
    if not is_told_first:
        join(phone), join(desk)

    assert (marks(phone), marks(desk)) == ("mixed", "mixed")


def test_aliases__exposed_under_the_customers_own_id__joins_the_visitor() -> None:
    visitor, customer = itertools.islice(units("test"), 2)
    meet(visitor, "test", 10)
    meet(customer, "test", 20)

    join(visitor, customer)

    assert (marks(visitor), marks(customer)) == ("", "merged")


def test_aliases__earlier_exposure_comes_late__stays_and_the_other_is_merged() -> None:
    phone, desk = itertools.islice(units("test"), 2)
    join(phone), join(desk)
    meet(desk, "test", 20)
    meet(phone, "test", 30)
    assert (marks(desk), marks(phone)) == ("", "merged")

    meet(phone, "test", 5)

    assert (marks(phone), marks(desk)) == ("", "merged")


def test_aliases__closed_phase__is_not_rewritten(running: Experiment) -> None:
    phone, desk = itertools.islice(units("test"), 2)
    meet(phone, "test", 10)
    meet(desk, "test", 20)
    first = running.current_phase
    assert first is not None
    first.closed_at = NOON + dt.timedelta(minutes=30)
    first.save()
    running.current_phase = make_phase(running, opened_at=first.closed_at, salt=SALT)
    running.save()

    join(phone), join(desk)

    assert (marks(phone), marks(desk)) == ("", "")


def test_aliases__marked_row__is_seen_as_recorded_anew() -> None:
    phone, desk = itertools.islice(units("test"), 2)
    meet(phone, "test", 10)
    meet(desk, "test", 20)
    before = {row.unit: row.recorded_at for row in Exposure.objects.all()}

    join(phone), join(desk)
    after = {row.unit: row.recorded_at for row in Exposure.objects.all()}

    assert after[digest_unit(desk)] > before[digest_unit(desk)]
    assert after[digest_unit(phone)] == before[digest_unit(phone)]


def test_aliases__sent_again__is_a_duplicate_and_changes_nothing() -> None:
    phone, desk = itertools.islice(units("test"), 2)
    meet(phone, "test", 10)
    meet(desk, "test", 20)
    join(phone), join(desk)
    before = list(Exposure.objects.order_by("unit").values())

    outcome = join(desk)

    assert outcome == "duplicate"
    assert list(Exposure.objects.order_by("unit").values()) == before


def test_aliases__others__are_left_alone() -> None:
    phone, desk, stranger = itertools.islice(units("test"), 3)
    meet(stranger, "test", 10)
    meet(phone, "test", 10)
    meet(desk, "test", 20)

    join(phone, "customer-2"), join(desk, "customer-3")

    assert [marks(unit) for unit in (phone, desk, stranger)] == ["", "", ""]


def test_aliases__contradicting__first_is_kept_and_the_rest_of_the_batch_stored() -> None:
    told = [
        ("a", "x"),
        ("a", "y"),
        ("x", "z"),
        ("b", "a"),
        ("b", "x"),
        ("b", "x"),
        ("c", "c"),
        ("", "x"),
        ("d", "\x00"),
    ]

    results = record_aliases([AliasEvent(*pair) for pair in told], now=LATER)

    assert [(one.index, one.outcome, one.code) for one in results] == [
        (0, "accepted", ""),
        (1, "conflict", "visitor_taken"),
        (2, "conflict", "kind_of_id"),
        (3, "conflict", "kind_of_id"),
        (4, "accepted", ""),
        (5, "duplicate", ""),
        (6, "rejected", "same_id"),
        (7, "rejected", "visitor_id_invalid"),
        (8, "rejected", "customer_id_invalid"),
    ]
    stored = set(UnitAlias.objects.values_list("visitor", "customer"))
    assert stored == {(digest_unit("a"), digest_unit("x")), (digest_unit("b"), digest_unit("x"))}


def test_table__visitor_twice_or_alias_of_itself__is_refused() -> None:
    unit = digest_unit("a")
    UnitAlias.objects.create(visitor=unit, customer=digest_unit("x"), recorded_at=NOON)

    for customer in (digest_unit("y"), unit):
        with pytest.raises(IntegrityError), transaction.atomic():
            UnitAlias.objects.create(visitor=unit, customer=customer, recorded_at=NOON)


def test_aliases__marked_units__leave_the_counts() -> None:
    phone, desk = itertools.islice(units("test"), 2)
    meet(phone, "test", 10)
    meet(desk, "test", 20)

    join(phone), join(desk)

    assert Exposure.objects.filter(is_mixed=False, is_merged=False).count() == 1
