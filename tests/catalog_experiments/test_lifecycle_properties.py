"""Whatever people do, in any order: a phase keeps its salt, and a page's slot has one holder, the first in line."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from catalog_experiments import lifecycle, publication
from catalog_experiments.intake import served_spans
from catalog_experiments.models import Bundle, Experiment, ExperimentEvent, Phase
from catalog_experiments.transitions import IllegalMove
from storefront.decisions import decide_with
from storefront.plans import parse
from tests.builders import NOON, make_experiment
from tests.catalog_experiments.acting import ACTOR, edit, on_one_page, pause, phase_of, publish, variants_of

pytestmark = pytest.mark.django_db(transaction=True)

many = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
Verb = Callable[[Experiment, dt.datetime], object]


def resume(experiment: Experiment, now: dt.datetime) -> object:
    return lifecycle.resume(experiment.pk, actor=ACTOR, now=now, reason="again")


def complete(experiment: Experiment, now: dt.datetime) -> object:
    return lifecycle.complete(experiment.pk, actor=ACTOR, now=now)


def publish_edit(**changes: Any) -> Verb:
    def run(experiment: Experiment, now: dt.datetime) -> object:
        edit(Experiment.objects.get(pk=experiment.pk), **changes)
        return publish(experiment, now=now)

    return run


def publish_weight(weight: int) -> Verb:
    def run(experiment: Experiment, now: dt.datetime) -> object:
        edit(experiment, variants=variants_of(experiment, weight=weight))
        return publish(experiment, now=now)

    return run


EDITS: dict[str, Verb] = {
    "pause": lambda experiment, now: pause(experiment, now=now),
    "pause-on-breach": lambda experiment, now: pause(experiment, now=now, cause="breached"),
    "resume": resume,
    "raise": publish_edit(coverage=10_000),
    "lower": publish_edit(coverage=2_000),
    "threshold": publish_edit(guardrail_config={"min_acceptance_rate": 0.2}),
    "bound": publish_edit(guardrail_config={"min_acceptance_rate": 0.1, "max_acceptance_rate": 0.9}),
    "weights": publish_weight(150),
    "even-weights": publish_weight(50),
    "hold-out": lambda experiment, now: publication.set_holdout(now.minute * 10, actor=ACTOR, now=now),
}


@many
@given(st.lists(st.sampled_from(sorted(EDITS)), min_size=3, max_size=10))
def test_salt__through_any_sequence_of_verbs__belongs_to_its_phase_for_good(names: list[str]) -> None:
    clear()
    experiment = publish(make_experiment(coverage=4_000))
    seen = {phase_of(experiment).number: phase_of(experiment).salt}

    for minutes, name in enumerate(names, start=1):
        try:
            EDITS[name](experiment, NOON + dt.timedelta(minutes=minutes))
        except IllegalMove:
            continue
        current = phase_of(experiment)
        assert seen.setdefault(current.number, current.salt) == current.salt
        document = publication.load_document()
        assert document is not None
        assert document["experiments"][0]["salt"] == current.salt
        assert_gap(experiment)

    stored = dict(Phase.objects.values_list("number", "salt"))
    assert stored == seen
    assert len(set(stored.values())) == len(stored)


SLOTS: dict[str, Verb] = {
    "publish": lambda experiment, now: publish(experiment, now=now),
    "pause": EDITS["pause"],
    "resume": resume,
    "complete": complete,
}


@many
@example([("c", "publish"), ("a", "publish"), ("b", "publish"), ("c", "pause")])
@example([("a", "publish"), ("c", "publish"), ("b", "publish"), ("a", "complete"), ("c", "pause")])
@given(st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), st.sampled_from(sorted(SLOTS))), min_size=4, max_size=12))
def test_slot__of_a_page_with_three_experiments__has_the_first_in_line(steps: list[tuple[str, str]]) -> None:
    clear()
    drafts = {slug: on_one_page(slug) for slug in ("a", "b", "c")}
    line: list[str] = []

    for minutes, (slug, verb) in enumerate(steps, start=1):
        phases = {known: phase_number(drafts[known]) for known in line}
        try:
            SLOTS[verb](drafts[slug], NOON + dt.timedelta(minutes=minutes))
        except IllegalMove:
            continue
        before = list(line)
        line = moved(line, slug, verb)
        assert_served(line)
        for draft in drafts.values():
            assert_gap(draft)
        if line and before and line[0] != before[0] and line[0] in before:
            # Whoever waited and now has the slot counts from zero.
            assert phase_number(drafts[line[0]]) == phases[line[0]] + 1


def moved(line: list[str], slug: str, verb: str) -> list[str]:
    """Return who runs on the page after the verb, the holder first."""
    if verb in ("publish", "resume"):
        return line if slug in line else [*line, slug]
    return [each for each in line if each != slug]


def assert_served(line: list[str]) -> None:
    """Say that the first of the line has the slot, and that the others enrol nobody."""
    snapshot = parse(publication.load_document())
    shadowed = {slug: plan.is_shadowed for slug, plan in snapshot.plans.items() if plan.status == "running"}
    assert shadowed == {slug: slug != line[0] for slug in line}
    if line:
        assert snapshot.slots["cup"].slug == line[0]
    for slug in line[1:]:
        decision = decide_with(snapshot.plans[slug], "anybody", {})
        assert (decision.variant_key, decision.reason, decision.is_enrolled) == ("control", "STATIC", False)


def assert_gap(experiment: Experiment) -> None:
    """Say that the open phase is noted as served exactly while the document offers its variants."""
    phase = Experiment.objects.get(pk=experiment.pk).current_phase
    if phase is not None and phase.closed_at is None:
        plan = parse(publication.load_document()).plans[experiment.slug]
        spans = served_spans(phase)
        is_served = bool(spans) and spans[-1].end_at is None
        assert is_served == (plan.status == "running" and not plan.is_shadowed)


def phase_number(experiment: Experiment) -> int:
    phase = Experiment.objects.get(pk=experiment.pk).current_phase
    return phase.number if phase else 0


def clear() -> None:
    """Forget what the example before left; hypothesis runs them in one test."""
    from django.core.management import call_command

    call_command("flush", interactive=False, verbosity=0)
    assert not Bundle.objects.exists()
    assert not ExperimentEvent.objects.exists()
