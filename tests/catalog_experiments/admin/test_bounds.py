"""What card and page say of each bound: its exact limit, the evidence on its way, the budget and what it promises."""

from __future__ import annotations

import datetime as dt
import math
import uuid
from collections.abc import Callable
from html import unescape
from typing import Any

import pytest
from django.test import Client

from catalog_experiments.admin.bounds import (
    BoundRow,
    bound_rows,
    budget_of,
    earlier_spendings,
    nearest_to_pause,
    within_text,
)
from catalog_experiments.aggregation import refresh_tallies
from catalog_experiments.bundles import BundleChanges, update_bundle
from catalog_experiments.enforcement import evaluate
from catalog_experiments.models import Experiment, GuardrailEvaluation, Phase
from catalog_experiments.phrasing import rate_text
from tests.builders import NOON, make_experiment, make_running_experiment
from tests.catalog_experiments.buyers import add_buyers, change_phase

HOME = "/admin/merchandising/bundles"
LATER = NOON + dt.timedelta(hours=5, minutes=30)
FIRST_HOUR = NOON + dt.timedelta(minutes=10)

ClientAs = Callable[[str], Client]
pytestmark = pytest.mark.django_db


def make_judged(*, accepted: int = 29, **overrides: Any) -> tuple[Experiment, GuardrailEvaluation]:
    experiment = make_running_experiment(**overrides)
    add_buyers(experiment, "control", 300, 60, at=FIRST_HOUR)
    add_buyers(experiment, "test", 300, accepted, at=FIRST_HOUR)
    evaluation = evaluate(experiment.pk, now=LATER).evaluation
    assert evaluation is not None
    return Experiment.objects.select_related("current_phase").get(pk=experiment.pk), evaluation


def by_variant(evaluation: GuardrailEvaluation) -> dict[str, dict[str, Any]]:
    return {verdict["variant_key"]: verdict for verdict in evaluation.verdicts}


def read(client: Client, address: str) -> str:
    return " ".join(unescape(client.get(address).content.decode()).replace("\u00a0", " ").split())


def test_bound_rows__each_bound__has_the_exact_limit_of_the_record() -> None:
    _, evaluation = make_judged(accepted=20)

    control, test, share = bound_rows(by_variant(evaluation))

    limit = evaluation.verdicts[1]["evidence"][0]["limit"]
    assert (control.variant, test.variant, share.variant) == ("control", "test", "test")
    assert test.label == "acceptance at least 10 %"
    assert test.within == f"the true rate is at most {rate_text(limit)}"
    assert test.pauses_at == "20×"
    assert test.words.endswith("of the way to a pause")
    assert share.label == "share of visitors at least 25 %"


def test_bound_rows__maximum_and_drop__are_told_the_other_way_round() -> None:
    _, evaluation = make_judged(guardrail_config={"max_acceptance_rate": 0.9, "max_drop_vs_control": 0.2})

    _, highest, drop, _ = bound_rows(by_variant(evaluation))

    assert highest.within.startswith("the true rate is at least ")
    assert (drop.within, drop.words, drop.meter) == ("not known yet", "too few visitors yet", None)
    assert drop.pauses_at == "below 0 points"


def test_bound_rows__crossed__says_so() -> None:
    _, evaluation = make_judged(accepted=13)

    _, test, _ = bound_rows(by_variant(evaluation))

    assert test.words == "crossed"
    assert test.meter is not None
    assert test.meter.is_over


@pytest.mark.parametrize(("bound", "limit"), [("min_acceptance_rate", 1.0), ("max_acceptance_rate", 0.0)])
def test_within__limit_that_holds_for_every_rate__says_nothing(bound: str, limit: float) -> None:
    assert within_text({"bound": bound, "limit": limit}) == ""


def phases_before(experiment: Experiment, *changes: dict[str, Any]) -> Experiment:
    """Let the current phase follow others like it, each with the changes."""
    change_phase(experiment, number=len(changes) + 1)
    phase = Phase.objects.get(experiment=experiment)
    for number, own in enumerate(changes, start=1):
        copy = {"pk": uuid.uuid4(), "number": number, "closed_at": LATER} | own
        Phase.objects.create(**({field.attname: getattr(phase, field.attname) for field in Phase._meta.fields} | copy))
    return Experiment.objects.select_related("current_phase").get(pk=experiment.pk)


def test_budget__third_phase_with_two_bounds__promises_and_shares() -> None:
    experiment, evaluation = make_judged(guardrail_config={"min_acceptance_rate": 0.1, "max_acceptance_rate": 0.9})
    experiment = phases_before(experiment, {}, {})

    budget = budget_of(experiment, by_variant(evaluation), earlier_spendings([experiment])[experiment.pk])

    assert budget is not None
    assert "Phase 3: a healthy experiment is paused with a chance of at most 5 %" in budget.promise
    assert "over all phases so far at most 15 %" in budget.promise
    assert "Exact for unrevised data, measured at most 5 % under revision." in budget.promise
    assert "2.5 % each for 1 test variant times 2 bounds" in budget.shares
    assert "a pause needs 40×" in budget.shares


@pytest.mark.parametrize(
    ("earlier", "promise", "line"),
    [
        ([{"alpha": 0.01}, {"alpha": 0.02}], "over all phases so far at most 8 %", "over all phases 8 %"),
        ([{"alpha": 0.6}, {"alpha": 0.6}], "over all phases so far at most 100 %", "over all phases 100 %"),
        ([{"bounds": {}}, {}], "over all phases so far at most 10 %", "over all phases 10 %"),
        (
            [{"bounds": {"min_acceptance_rate": 0.1, "pause_rule": "persistent"}}, {}],
            "no chance is stated, for misses in a row paused in phase 1",
            "over all phases without a stated error",
        ),
    ],
)
def test_page__phases_with_other_budgets__adds_up_what_each_might_spend(
    client_as: ClientAs, earlier: list[dict[str, Any]], promise: str, line: str
) -> None:
    phases_before(make_judged()[0], *earlier)

    viewer = client_as("viewer")
    page, overview = read(viewer, f"{HOME}/cup-saucer"), read(viewer, HOME)

    assert promise in page
    assert f"Phase 3: false pauses at most 5 %, {line}." in overview


def test_budget__persistent__promises_nothing_and_gives_the_reason() -> None:
    rules = {"min_acceptance_rate": 0.1, "pause_rule": "persistent", "pause_rule_reason": "As in the old shop"}
    experiment = make_running_experiment(guardrail_config=rules)

    budget = budget_of(experiment, {})

    assert budget is not None
    assert "outside every stated error" in budget.promise
    assert budget.shares == "Reason: As in the old shop."


def test_budget__draft_or_no_bound__is_none() -> None:
    assert budget_of(make_experiment(), {}) is None
    assert budget_of(make_running_experiment(slug="free", guardrail_config={}), {}) is None


def test_card__judged__shows_each_exact_limit_and_the_budget_in_a_line(client_as: ClientAs) -> None:
    _, evaluation = make_judged()

    page = read(client_as("viewer"), HOME)

    limit = evaluation.verdicts[1]["evidence"][0]["limit"]
    assert f"The true rate is at most {rate_text(limit)}" in page
    assert "Phase 1: false pauses at most 5 %, over all phases 5 %." in page
    assert "fixed when the phase opened" not in page, "how it is shared out is told on the experiment's page"


def test_card__several_bounds__shows_the_nearest_first_and_the_others_beside_their_limits(client_as: ClientAs) -> None:
    bounds = {"min_acceptance_rate": 0.1, "max_acceptance_rate": 0.9, "max_drop_vs_control": 0.2}
    make_judged(accepted=20, guardrail_config=bounds)

    card = client_as("viewer").get(HOME).context["attention"][0]

    assert (card.nearest.variant, card.nearest.label) == ("test", "acceptance at least 10 %")
    assert [(bound.variant, bound.label) for bound in card.other_bounds] == [
        ("control", "acceptance at least 10 %"),
        ("control", "acceptance at most 90 %"),
        ("test", "acceptance at most 90 %"),
        ("test", "drop against control at most 20 %"),
        ("test", "share of visitors at least 25 %"),
    ]
    page = read(client_as(""), HOME)
    assert "test, acceptance at least 10 %</h4>" in page
    assert page.index("of the way to a pause") < page.index("Other bounds")


def row(variant: str, nearness: float, *, is_control: bool = False) -> BoundRow:
    return BoundRow(variant, is_control, "", "", "", "", "", "", "", nearness, None)


def test_nearest__control_crossed__is_a_test_variants_for_only_these_pause() -> None:
    rows = [row("control", math.inf, is_control=True), row("a", 0.0), row("b", 0.4), row("c", -1.0)]

    nearest = nearest_to_pause(rows)

    assert nearest is rows[2]
    assert nearest_to_pause(rows[:1]) is None


def test_nearest__crossed_without_an_evidence_factor__comes_before_evidence_on_its_way() -> None:
    _, evaluation = make_judged(accepted=20, guardrail_config={"min_acceptance_rate": 0.1, "max_drop_vs_control": 0.2})
    verdicts = by_variant(evaluation)
    [drop] = [bound for bound in verdicts["test"]["evidence"] if bound["bound"] == "max_drop_vs_control"]

    before = nearest_to_pause(bound_rows(verdicts))
    drop["is_crossed"] = True
    after = nearest_to_pause(bound_rows(verdicts))

    assert before is not None
    assert after is not None
    assert (before.label, after.label) == ("acceptance at least 10 %", "drop against control at most 20 %")


def test_page__judged__shows_every_bound_with_its_evidence(client_as: ClientAs) -> None:
    _, evaluation = make_judged()

    page = read(client_as("viewer"), f"{HOME}/cup-saucer")

    limit = evaluation.verdicts[1]["evidence"][0]["limit"]
    assert f"the true rate is at most {rate_text(limit)}" in page
    assert "pauses at 20×" in page
    assert "no evidence against it, pauses at" in page
    assert "Budget: 5 % for the one bound of the one test variant, fixed when the phase opened." in page
    assert "over all phases so far at most 5 %" in page


def test_page__paused_then_revised__says_that_it_would_no_longer_cross(client_as: ClientAs) -> None:
    experiment, _ = make_judged(accepted=13)
    before = read(client_as("viewer"), f"{HOME}/cup-saucer")
    add_buyers(experiment, "test", 200, 200, at=FIRST_HOUR)
    refresh_tallies([experiment.pk], now=LATER)

    after = read(client_as("operator"), f"{HOME}/cup-saucer")

    assert "no bound would be crossed any more" not in before
    assert "no bound would be crossed any more" in after


def test_card__breached_in_shadow_mode__does_not_announce_a_pause(client_as: ClientAs) -> None:
    make_judged(accepted=13, guardrail_config={"min_acceptance_rate": 0.1, "mode": "shadow"})

    page = read(client_as("viewer"), HOME)

    assert "decide yourself, no pause follows" in page
    assert "the pause follows" not in page


def test_page__sold_out__says_what_to_do(client_as: ClientAs) -> None:
    make_running_experiment()
    update_bundle("cup-saucer-test", BundleChanges(stock_state="out_of_stock"), actor="user:ana", now=LATER)

    page = read(client_as("viewer"), f"{HOME}/cup-saucer")

    assert "Paused: out of stock" in page
    assert "cup-saucer-test is out of stock. Shoppers see the control." in page
    assert "Restock, then resume: the same phase goes on." in page
