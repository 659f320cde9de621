"""The verbs: what each writes and what each refuses."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.db import transaction

from catalog_experiments import lifecycle, publication
from catalog_experiments.drafting.specification import VariantSpec, stored_spec
from catalog_experiments.lifecycle import IllegalMove, PreflightFailed, ReasonRequired, StaleVersion
from catalog_experiments.models import (
    Bundle,
    Conclusion,
    Experiment,
    ExperimentEvent,
    Exposure,
    OverridePublication,
    PauseCause,
    Phase,
    PhaseOrigin,
    PublishedDocument,
)
from tests.builders import NOON, make_bundle, make_experiment
from tests.catalog_experiments.acting import (
    ACTOR,
    LATER,
    edit,
    entry_of,
    last_event,
    pause,
    phase_of,
    publish,
    variants_of,
)

pytestmark = pytest.mark.django_db


def test_publish__of_a_sound_draft__runs_it_in_phase_one_and_serves_it() -> None:
    draft = make_experiment()

    published = publish(draft, reason="ready")

    stored = Experiment.objects.get()
    assert (stored.status, stored.started_at, stored.published_at) == ("running", NOON, NOON)
    assert stored.lock_version == published.lock_version == draft.lock_version + 1
    assert (phase_of(draft).number, phase_of(draft).opened_at) == (1, NOON)
    assert entry_of("cup-saucer")["status"] == "running"


def test_publish__of_a_sound_draft__writes_event_and_override_publications() -> None:
    draft = make_experiment()

    publish(draft, reason="ready")

    event = ExperimentEvent.objects.get()
    assert (event.actor, event.action, event.reason) == (ACTOR, "publish", "ready")
    assert event.before == {"status": "draft", "phase": None}
    assert (event.after["status"], event.after["phase"], event.after["document_version"]) == ("running", 1, 1)
    live = OverridePublication.objects.order_by("variant_key")
    assert [(row.variant_key, row.active_from_at, row.active_to_at) for row in live] == [
        ("control", NOON, None),
        ("test", NOON, None),
    ]
    assert {row.provenance for row in live} == {"catalog-experiment-service"}


def test_publish__with_a_failing_check__changes_nothing_and_names_it() -> None:
    draft = make_experiment(variants=[{"key": "control", "name": "Control", "is_control": True}])

    with pytest.raises(PreflightFailed, match="no test variant") as refused:
        publish(draft)

    assert {check.code for check in refused.value.checks if check.outcome == "fail"} == {"variants"}
    assert Experiment.objects.get().status == "draft"
    assert not PublishedDocument.objects.exists()
    assert not ExperimentEvent.objects.exists()


def test_publish__with_warnings_not_accepted__is_refused() -> None:
    draft = make_experiment()

    with pytest.raises(PreflightFailed):
        publish(draft, accept_warnings=False)

    assert Experiment.objects.get().status == "draft"


def test_publish__again_without_a_change__writes_nothing() -> None:
    first = publish(make_experiment())

    again = publish(first, now=LATER)

    assert (again.status, again.lock_version, again.published_at) == ("running", first.lock_version, NOON)
    assert (Phase.objects.count(), PublishedDocument.objects.count(), ExperimentEvent.objects.count()) == (1, 1, 1)


@pytest.mark.parametrize(
    ("what", "changes"),
    [
        ("weights", {"weight": 150}),
        ("payloads", {"override_payload": {"headline": "Two for tea"}}),
        ("bundles", {"bundle_slug": "cup-other"}),
    ],
)
def test_publish__of_a_changed_variant__opens_a_new_phase_and_says_why(what: str, changes: dict[str, Any]) -> None:
    make_bundle(bundle_slug="cup-other")
    running = publish(make_experiment())
    former = phase_of(running)
    edit(running, variants=variants_of(running, **changes))

    publish(running, now=LATER)

    assert phase_of(running).number == 2
    assert phase_of(running).salt != former.salt
    assert Phase.objects.get(pk=former.pk).closed_at == LATER
    event = last_event(running)
    assert what in event.after["new_phase_because"]
    assert entry_of("cup-saucer")["phase"] == 2


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"guardrail_config": {}}, "guardrail rules"),
        ({"guardrail_config": {"min_acceptance_rate": 0.1, "max_acceptance_rate": 0.9}}, "guardrail rules"),
        ({"guardrail_config": {"min_acceptance_rate": 0.1, "alpha": 0.01}}, "guardrail rules"),
        ({"guardrail_config": {"min_acceptance_rate": 0.1, "mode": "shadow"}}, "guardrail rules"),
        ({"coverage": 5000}, "coverage lowered"),
        ({"targeting": {"country": "DE"}}, "targeting"),
        ({"attribution_window_days": 14}, "attribution window"),
    ],
)
def test_publish__of_other_rules_or_units__opens_a_new_phase(changes: dict[str, Any], reason: str) -> None:
    running = publish(make_experiment())
    edit(running, **changes)

    publish(running, now=LATER)

    event = last_event(running)
    assert (event.after["phase"], event.after["new_phase_because"]) == (2, [reason])


def test_publish__of_an_edited_threshold__goes_live_in_the_same_phase() -> None:
    running = publish(make_experiment())
    edit(running, guardrail_config={"min_acceptance_rate": 0.2}, sample_size_guardrail=400)

    publish(running, now=LATER)

    phase = phase_of(running)
    assert (phase.number, phase.bounds, phase.minimum_sample) == (1, {"min_acceptance_rate": 0.2}, 400)
    event = last_event(running)
    assert event.after["guardrail_config"] == {"min_acceptance_rate": 0.2}
    assert event.after["new_phase_because"] == []


def test_publish__of_a_raised_coverage__keeps_phase_and_everybody_in_place() -> None:
    running = publish(make_experiment(coverage=5000))
    narrow = entry_of("cup-saucer")
    edit(running, coverage=10_000)

    publish(running, now=LATER)

    wide = entry_of("cup-saucer")
    assert (wide["phase"], wide["salt"]) == (1, narrow["salt"])
    assert [variant["range"] for variant in narrow["variants"]] == [[0, 2500], [5000, 7500]]
    assert [variant["range"] for variant in wide["variants"]] == [[0, 5000], [5000, 10_000]]


def test_publish__of_a_renamed_variant__is_no_new_treatment() -> None:
    running = publish(make_experiment())
    edit(running, variants=variants_of(running, name="The other one"))

    publish(running, now=LATER)

    assert phase_of(running).number == 1
    assert running.variants.get(key="test").name == "The other one"


def test_publish__of_an_added_variant__puts_it_into_a_new_phase() -> None:
    running = publish(make_experiment())
    make_bundle(bundle_slug="cup-third")
    third = VariantSpec(key="third", name="Third", weight=50, bundle_slug="cup-third")
    edit(running, variants=(*stored_spec(running).variants, third))

    publish(running, now=LATER)

    assert [variant["key"] for variant in phase_of(running).variants] == ["control", "test", "third"]


@pytest.mark.parametrize("status", ["paused", "completed"])
def test_publish__of_a_stopped_experiment__is_illegal_and_names_the_legal_moves(status: str) -> None:
    running = publish(make_experiment())
    lifecycle.pause(running.pk, actor=ACTOR, now=LATER, reason="")
    if status == "completed":
        lifecycle.complete(running.pk, actor=ACTOR, now=LATER)

    with pytest.raises(IllegalMove) as refused:
        publish(running, now=LATER)

    assert refused.value.legal == lifecycle.legal_moves(status)


def test_publish__on_a_stale_version__is_refused() -> None:
    draft = make_experiment()
    edit(draft, name="Renamed meanwhile")

    with pytest.raises(StaleVersion) as refused:
        publish(draft, expected_version=draft.lock_version)

    assert (refused.value.expected, refused.value.actual) == (0, 1)


def test_publish__of_an_unknown_experiment__is_not_found() -> None:
    draft = make_experiment()
    draft_id = draft.pk
    draft.delete()

    with pytest.raises(lifecycle.ExperimentNotFound):
        lifecycle.publish(draft_id, actor=ACTOR, now=NOON)


def test_pause__of_a_running_experiment__serves_control_and_remembers_why() -> None:
    running = publish(make_experiment())

    pause(running)

    stored = Experiment.objects.get()
    assert (stored.status, stored.paused_at, stored.pause_reason) == ("paused", LATER, "odd numbers")
    assert stored.pause_cause == PauseCause.PERSON
    assert entry_of("cup-saucer")["status"] == "paused"
    assert phase_of(running).unserved_spans == [[LATER.isoformat(), None]]
    assert not OverridePublication.objects.filter(active_to_at=None).exists()


def test_pause__already_paused__raises() -> None:
    running = publish(make_experiment())
    pause(running)

    with pytest.raises(IllegalMove, match="it can be resumed or completed"):
        pause(running)


def test_pause__with_baseline__restores_the_override_as_it_was_at_publish() -> None:
    draft = make_experiment()
    Bundle.objects.filter(bundle_slug="cup-saucer-test").update(cms_override={"badge": "Before"})
    running = publish(draft)
    Bundle.objects.filter(bundle_slug="cup-saucer-test").update(cms_override={"badge": "Winner!"})

    pause(running, push_baseline=True)

    assert Bundle.objects.get(bundle_slug="cup-saucer-test").cms_override == {"badge": "Before"}
    rollback = OverridePublication.objects.get(is_rollback=True, variant_key="test")
    assert (rollback.payload, rollback.active_from_at) == ({"badge": "Before"}, LATER)
    event = last_event(running)
    assert event.after["rolled_back"] == ["cup-saucer-test"]


def test_pause__inside_a_transaction_that_fails__leaves_no_trace() -> None:
    running = publish(make_experiment())

    def pause_and_fail() -> None:
        with transaction.atomic():
            pause(running)
            raise RuntimeError("the alert could not be written")

    with pytest.raises(RuntimeError):
        pause_and_fail()

    assert Experiment.objects.get().status == "running"
    assert PublishedDocument.objects.count() == 1
    assert ExperimentEvent.objects.filter(action="pause").count() == 0


def test_resume__after_a_person__keeps_the_phase_and_lists_the_gap() -> None:
    running = publish(make_experiment())
    pause(running)

    lifecycle.resume(running.pk, actor=ACTOR, now=LATER + dt.timedelta(hours=2))

    phase = phase_of(running)
    end = (LATER + dt.timedelta(hours=2)).isoformat()
    assert (phase.number, phase.unserved_spans) == (1, [[LATER.isoformat(), end]])
    stored = Experiment.objects.get()
    assert (stored.status, stored.paused_at, stored.pause_cause, stored.pause_reason) == ("running", None, "", "")
    assert entry_of("cup-saucer")["status"] == "running"


def test_resume__after_a_person__says_what_the_gap_cost() -> None:
    running = publish(make_experiment())
    phase = phase_of(running)
    for unit, days in enumerate([1, 6, 20]):
        Exposure.objects.create(
            retention_month=NOON.date().replace(day=1),
            experiment=running,
            phase=phase,
            unit=f"00000000-0000-0000-0000-00000000000{unit}",
            variant_key="test",
            exposed_at=NOON + dt.timedelta(days=30 - days),
            recorded_at=NOON,
        )
    pause(running, now=NOON + dt.timedelta(days=30))

    lifecycle.resume(running.pk, actor=ACTOR, now=NOON + dt.timedelta(days=31))

    event = ExperimentEvent.objects.get(action="resume")
    assert (event.after["gap_seconds"], event.after["units_cut"]) == (86_400, 2)


@pytest.mark.parametrize("cause", [PauseCause.BREACHED, PauseCause.OUTAGE])
def test_resume__after_a_guardrail__needs_a_reason_and_opens_a_phase(cause: str) -> None:
    running = publish(make_experiment())
    pause(running, cause=cause)

    with pytest.raises(ReasonRequired):
        lifecycle.resume(running.pk, actor=ACTOR, now=LATER, reason=" ")
    lifecycle.resume(running.pk, actor=ACTOR, now=LATER, reason="price fixed")

    assert phase_of(running).number == 2
    event = ExperimentEvent.objects.get(action="resume")
    assert event.after["new_phase_because"] == [f"resumed after {cause}"]


def test_resume__after_the_treatment_changed__opens_a_phase() -> None:
    running = publish(make_experiment())
    pause(running)
    edit(running, variants=variants_of(running, override_payload={"headline": "New"}))

    lifecycle.resume(running.pk, actor=ACTOR, now=LATER)

    assert phase_of(running).number == 2
    assert entry_of("cup-saucer")["variants"][1]["payload"] == {"headline": "New"}
    assert Experiment.objects.get().pending_changes == {}


def test_resume__with_a_bundle_gone_inactive__is_refused() -> None:
    running = publish(make_experiment())
    pause(running)
    Bundle.objects.filter(bundle_slug="cup-saucer-test").update(is_active=False)

    with pytest.raises(PreflightFailed, match="not active"):
        lifecycle.resume(running.pk, actor=ACTOR, now=LATER)


def test_resume__of_a_running_experiment__is_illegal() -> None:
    running = publish(make_experiment())

    with pytest.raises(IllegalMove):
        lifecycle.resume(running.pk, actor=ACTOR, now=LATER)


def test_complete__with_a_winner__ships_it_and_freezes_the_report() -> None:
    running = publish(make_experiment())

    lifecycle.complete(
        running.pk, actor=ACTOR, now=LATER, conclusion="won", winner_key="test", learnings="Saucers sell."
    )

    stored = Experiment.objects.get()
    assert (stored.status, stored.completed_at, stored.conclusion) == ("completed", LATER, "won")
    assert phase_of(running).closed_at == LATER
    entry = entry_of("cup-saucer")
    assert (entry["status"], entry["shipped_variant"]) == ("completed", "test")
    assert [(entry["revision"], entry["report"]["slug"]) for entry in stored.final_report] == [(0, "cup-saucer")]


def test_complete__without_a_conclusion__is_not_stated_and_can_be_filled_in() -> None:
    running = publish(make_experiment())
    lifecycle.complete(running.pk, actor=ACTOR, now=LATER)
    assert Experiment.objects.get().conclusion == Conclusion.NOT_STATED

    lifecycle.conclude(running.pk, actor=ACTOR, now=LATER, conclusion="lost", winner_key="control")

    stored = Experiment.objects.get()
    assert (stored.conclusion, stored.winner and stored.winner.key) == ("lost", "control")
    assert entry_of("cup-saucer")["shipped_variant"] == "control"


@pytest.mark.parametrize(
    ("arguments", "field"),
    [({"conclusion": "great"}, "conclusion"), ({"winner_key": "nobody"}, "winner_key")],
)
def test_complete__with_an_unknown_choice__is_refused(arguments: dict[str, Any], field: str) -> None:
    running = publish(make_experiment())

    with pytest.raises(lifecycle.InvalidExperiment) as refused:
        lifecycle.complete(running.pk, actor=ACTOR, now=LATER, **arguments)

    assert [error.field for error in refused.value.errors] == [field]
    assert Experiment.objects.get().status == "running"


def test_complete__of_a_paused_experiment__ends_its_gap() -> None:
    running = publish(make_experiment())
    pause(running)

    lifecycle.complete(running.pk, actor=ACTOR, now=LATER + dt.timedelta(hours=1))

    assert phase_of(running).unserved_spans[-1][1] is not None


@pytest.mark.parametrize("verb", ["publish", "pause", "resume", "complete", "delete_draft"])
def test_complete__is_final(verb: str) -> None:
    running = publish(make_experiment())
    lifecycle.complete(running.pk, actor=ACTOR, now=LATER)
    arguments = {"reason": "again"} if verb not in ("delete_draft",) else {}

    with pytest.raises(IllegalMove):
        getattr(lifecycle, verb)(running.pk, actor=ACTOR, now=LATER, **arguments)


def test_complete__of_a_draft__is_illegal() -> None:
    draft = make_experiment()

    with pytest.raises(IllegalMove):
        lifecycle.complete(draft.pk, actor=ACTOR, now=LATER)


def test_delete__of_a_draft__leaves_its_events() -> None:
    draft = make_experiment()

    lifecycle.delete_draft(draft.pk, actor=ACTOR, now=NOON)

    assert not Experiment.objects.exists()
    assert ExperimentEvent.objects.get().action == "delete"


def test_delete__of_a_running_experiment__is_illegal() -> None:
    running = publish(make_experiment())

    with pytest.raises(IllegalMove):
        lifecycle.delete_draft(running.pk, actor=ACTOR, now=NOON)


def test_clone__of_a_completed_experiment__is_a_draft_like_it() -> None:
    running = publish(make_experiment(hypothesis="Saucers sell"))
    lifecycle.complete(running.pk, actor=ACTOR, now=LATER)

    copy = lifecycle.clone(running.pk, slug="cup-again", name="Again", actor=ACTOR, now=LATER)

    assert (copy.status, copy.current_phase, copy.hypothesis) == ("draft", None, "Saucers sell")
    assert [variant.bundle_id for variant in copy.variants.all()] == ["cup-saucer-control", "cup-saucer-test"]


def test_adopt__of_a_seeded_draft__runs_it_outside_the_document() -> None:
    draft = make_experiment()

    lifecycle.adopt(draft.pk, origin=PhaseOrigin.SEEDED, actor="system:seed", now=NOON)

    assert Experiment.objects.get().is_seeded
    assert publication.newest_version() == 0


def test_adopt__as_published__is_refused() -> None:
    draft = make_experiment()

    with pytest.raises(ValueError, match="Publish"):
        lifecycle.adopt(draft.pk, origin=PhaseOrigin.PUBLISHED, actor=ACTOR, now=NOON)
