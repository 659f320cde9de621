"""What claims are checked against is kept by the process, and never longer than it is true."""

import datetime as dt
from collections.abc import Callable

import pytest
from django.db import transaction

from catalog_experiments.intake import claim_book
from catalog_experiments.intake.claim_book import ClaimBook
from catalog_experiments.models import Experiment, Holdout, Phase, UnitKind
from tests.builders import NOON, make_experiment, make_phase, make_running_experiment
from tests.catalog_experiments.intake.test_exposures import HOUR, exposure, outcome_of

pytestmark = pytest.mark.django_db


def test_claim_book__nothing_changed__reads_nothing_again(monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = make_running_experiment()
    outcome_of(exposure(experiment))
    monkeypatch.setattr(claim_book, "read_phases", lambda _: pytest.fail("read again"))

    assert outcome_of(exposure(experiment)) == ("duplicate", "")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda: Phase.objects.update(closed_at=NOON + HOUR / 2), "not_running"),
        (lambda: Phase.objects.update(facts_retired_at=NOON), "retired"),
        (lambda: Phase.objects.update(unserved_spans=[[(NOON + HOUR / 2).isoformat(), None]]), "not_running"),
        (lambda: Experiment.objects.update(coverage=1), "not_enrolled"),
        (lambda: Holdout.objects.create(size=10_000, changed_at=NOON - HOUR), "held_out"),
    ],
    ids=["closed", "retired", "paused", "coverage", "holdout"],
)
def test_claim_book__something_changed__is_read_again(change: Callable[[], object], code: str) -> None:
    experiment = make_running_experiment()
    event = exposure(experiment)
    ClaimBook([experiment.slug])
    change()

    assert outcome_of(event)[1] == code


def test_claim_book__change_taken_back__is_as_if_it_had_never_been() -> None:
    experiment = make_running_experiment()
    with transaction.atomic():
        Phase.objects.update(facts_retired_at=NOON)
        refused = outcome_of(exposure(experiment))
        transaction.set_rollback(True)

    assert refused == ("rejected", "retired")
    assert outcome_of(exposure(experiment)) == ("accepted", "")


def test_claim_book__experiment_now_by_customer__takes_the_customer() -> None:
    experiment = make_running_experiment()
    event = exposure(experiment, customer_id="c1")
    before = ClaimBook([experiment.slug]).with_unit(event).unit_id
    Experiment.objects.update(unit_kind=UnitKind.CUSTOMER)

    assert (before, ClaimBook([experiment.slug]).with_unit(event).unit_id) == (event.unit_id, "c1")


def test_claim_book__more_experiments_than_it_keeps__forgets_and_still_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(claim_book, "MOST_KEPT", 2)
    experiments = [make_experiment(slug=f"experiment-{number}") for number in range(4)]
    for experiment in experiments:
        make_phase(experiment, opened_at=NOON - dt.timedelta(days=1))
        ClaimBook([experiment.slug])

    assert len(claim_book._kept) <= 2
    assert set(ClaimBook(each.slug for each in experiments)._experiments) == {each.slug for each in experiments}
