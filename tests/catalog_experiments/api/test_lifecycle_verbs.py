"""POST .../publish, pause, resume, complete: each works once, is audited, and refuses what is not legal."""

from collections.abc import Callable
from typing import Any

import pytest

from catalog_experiments.models import Bundle, Experiment, ExperimentEvent, Phase, PublishedDocument
from tests.builders import make_experiment
from tests.catalog_experiments.api.conftest import Api, json_of, problem_of

HERE = "/catalog/experiments/cup-saucer"
VERBS = ("publish", "pause", "resume", "complete")
OTHERS = ("conclude", "clone")


@pytest.fixture
def draft(db: None) -> Experiment:
    """A draft that could be published."""
    return make_experiment()


def test_publish__draft__runs_and_says_since_when(api: Api, draft: Experiment) -> None:
    response = api.post(f"{HERE}/publish")

    shown = json_of(response)
    assert response.status_code == 200
    assert (shown["status"], shown["phase"]) == ("running", 1)
    assert shown["provenance"]["published_at"] == shown["published_at"] is not None
    assert response.headers["ETag"] == api.get(HERE).headers["ETag"]
    assert PublishedDocument.objects.count() == 1


def test_publish__warnings__come_back_with_the_answer(api: Api, draft: Experiment) -> None:
    shown = json_of(api.post(f"{HERE}/publish"))

    assert shown["warnings"]
    assert {check["outcome"] for check in shown["warnings"]} == {"warn"}
    assert all(check["code"] and check["sentence"] for check in shown["warnings"])


def test_publish__again_without_change__changes_nothing(
    api: Api, draft: Experiment, fingerprint: Callable[[], str]
) -> None:
    first = json_of(api.post(f"{HERE}/publish"))
    before = fingerprint()

    second = api.post(f"{HERE}/publish")

    assert second.status_code == 200
    assert json_of(second)["published_at"] == first["published_at"]
    assert fingerprint() == before


def test_publish__changed_payload__opens_a_new_phase(api: Api, draft: Experiment) -> None:
    api.post(f"{HERE}/publish")
    variants = [
        {name: variant[name] for name in ("key", "name", "weight", "is_control", "bundle_slug", "override_payload")}
        for variant in json_of(api.get(HERE))["variants"]
    ]
    variants[1]["override_payload"] = {"headline": "Now!"}

    edited = json_of(api.put(HERE, {"variants": variants}))
    published = json_of(api.post(f"{HERE}/publish", {"reason": "a louder headline"}))

    assert edited["phase"] == 1
    assert edited["pending_changes"]["variants"][1]["override_payload"] == {"headline": "Now!"}
    assert published["phase"] == 2
    assert published["pending_changes"] == {}
    assert Phase.objects.count() == 2


def test_publish__failing_preflight__answers_409_naming_the_checks(
    api: Api, draft: Experiment, fingerprint: Callable[[], str]
) -> None:
    Bundle.objects.filter(bundle_slug="cup-saucer-test").update(is_active=False)
    before = fingerprint()

    problem = problem_of(api.post(f"{HERE}/publish"), 409, "preflight_failed")

    assert problem["errors"]
    assert all(error["field"] == "preflight" and error["code"] and error["detail"] for error in problem["errors"])
    assert fingerprint() == before


def test_publish__no_variants__answers_409(api: Api, db: None) -> None:
    make_experiment(slug="cup-saucer", variants=[])

    problem_of(api.post(f"{HERE}/publish"), 409, "preflight_failed")


def test_pause_and_resume__by_a_person__keep_the_phase(api: Api, draft: Experiment) -> None:
    api.post(f"{HERE}/publish")

    paused = json_of(api.post(f"{HERE}/pause", {"reason": "stock check", "push_baseline": False}))
    resumed = json_of(api.post(f"{HERE}/resume"))

    assert (paused["status"], paused["pause_cause"], paused["pause_reason"]) == ("paused", "person", "stock check")
    assert (resumed["status"], resumed["phase"], resumed["pause_reason"]) == ("running", 1, "")


def test_resume__after_a_guardrail_pause__wants_a_reason(
    api: Api, draft: Experiment, fingerprint: Callable[[], str]
) -> None:
    api.post(f"{HERE}/publish")
    api.post(f"{HERE}/pause")
    Experiment.objects.update(pause_cause="breached")
    before = fingerprint()

    problem = problem_of(api.post(f"{HERE}/resume"), 422, "reason_required")

    assert problem["errors"][0]["field"] == "reason"
    assert fingerprint() == before
    assert json_of(api.post(f"{HERE}/resume", {"reason": "the price is fixed"}))["phase"] == 2


def test_complete__with_conclusion__keeps_what_was_learned(api: Api, draft: Experiment) -> None:
    api.post(f"{HERE}/publish")

    shown = json_of(api.post(f"{HERE}/complete", {"conclusion": "won", "winner": "test", "learnings": "Louder sells."}))

    assert (shown["status"], shown["conclusion"], shown["winner"]) == ("completed", "won", "test")
    assert shown["learnings"] == "Louder sells."
    assert shown["completed_at"] is not None


@pytest.mark.parametrize(
    ("body", "codes"),
    [
        ({"conclusion": "won"}, ["nothing_ships"]),
        ({"conclusion": "won", "winner": "test"}, []),
        ({"conclusion": "lost"}, []),
        ({}, []),
    ],
)
def test_complete__won_and_nothing_ships__is_done_and_warned_of(
    api: Api, draft: Experiment, body: dict[str, str], codes: list[str]
) -> None:
    api.post(f"{HERE}/publish")

    shown = json_of(api.post(f"{HERE}/complete", body))

    assert shown["status"] == "completed"
    assert [(check["code"], check["outcome"]) for check in shown["warnings"]] == [(code, "warn") for code in codes]


def test_conclude__won_and_nothing_ships__is_stored_and_warned_of(api: Api, draft: Experiment) -> None:
    api.post(f"{HERE}/publish")
    api.post(f"{HERE}/complete")

    shown = json_of(api.post(f"{HERE}/conclude", {"conclusion": "won"}))

    assert shown["conclusion"] == "won"
    assert [check["fix_url"] for check in shown["warnings"]] == [f"/admin/merchandising/bundles/{draft.slug}/conclude"]


def test_complete__unknown_winner__answers_422(api: Api, draft: Experiment, fingerprint: Callable[[], str]) -> None:
    api.post(f"{HERE}/publish")
    before = fingerprint()

    problem_of(api.post(f"{HERE}/complete", {"winner": "ghost"}), 422, "invalid")

    assert fingerprint() == before


@pytest.mark.parametrize(
    ("steps", "verb"),
    [
        ([], "pause"),
        ([], "resume"),
        ([], "complete"),
        (["publish"], "resume"),
        (["publish", "pause"], "pause"),
        (["publish", "pause"], "publish"),
        (["publish", "complete"], "publish"),
        (["publish", "complete"], "pause"),
        (["publish", "complete"], "resume"),
        (["publish", "complete"], "complete"),
    ],
)
def test_verb__not_legal_now__answers_409_and_changes_nothing(
    api: Api, draft: Experiment, fingerprint: Callable[[], str], steps: list[str], verb: str
) -> None:
    for step in steps:
        assert api.post(f"{HERE}/{step}").status_code == 200
    before = fingerprint()

    problem = problem_of(api.post(f"{HERE}/{verb}"), 409, "illegal_move")

    assert verb not in problem["legal_moves"]
    assert fingerprint() == before


@pytest.mark.parametrize("verb", VERBS)
def test_verb__unknown_experiment__is_404(api: Api, verb: str) -> None:
    problem_of(api.post(f"/catalog/experiments/ghost/{verb}"), 404, "not_found")


@pytest.mark.parametrize("verb", VERBS)
def test_verb__stale_tag__answers_412(api: Api, draft: Experiment, verb: str) -> None:
    if verb != "publish":
        api.post(f"{HERE}/publish")
    if verb == "resume":
        api.post(f"{HERE}/pause")
    tag = api.get(HERE).headers["ETag"]
    api.put(HERE, {"name": "Newer"})

    problem_of(api.post(f"{HERE}/{verb}", **{"If-Match": tag}), 412, "stale_version")


@pytest.mark.parametrize("verb", [*VERBS, *OTHERS])
@pytest.mark.parametrize("body", [{"force": True}, {"reason": 5}, {"reason": "x" * 2_001}, [], "text"])
def test_verb__odd_body__answers_422_and_changes_nothing(
    api: Api, draft: Experiment, fingerprint: Callable[[], str], verb: str, body: Any
) -> None:
    before = fingerprint()

    problem_of(api.post(f"{HERE}/{verb}", body), 422, "invalid")

    assert fingerprint() == before


def test_conclude__completed_without_conclusion__fills_it_in(api: Api, draft: Experiment) -> None:
    api.post(f"{HERE}/publish")
    api.post(f"{HERE}/complete")

    shown = json_of(api.post(f"{HERE}/conclude", {"conclusion": "lost", "winner": "control", "learnings": "Too loud."}))

    assert (shown["conclusion"], shown["winner"], shown["learnings"]) == ("lost", "control", "Too loud.")


def test_conclude__still_running__answers_409(api: Api, draft: Experiment) -> None:
    api.post(f"{HERE}/publish")

    problem_of(api.post(f"{HERE}/conclude", {"conclusion": "won"}), 409, "illegal_move")


def test_clone__completed__is_a_new_draft_with_the_same_variants(api: Api, draft: Experiment) -> None:
    api.post(f"{HERE}/publish")
    api.post(f"{HERE}/complete")

    response = api.post(f"{HERE}/clone", {"slug": "cup-saucer-2", "name": "Once more"})

    shown = json_of(response)
    assert response.status_code == 201
    assert (shown["slug"], shown["status"], shown["phase"]) == ("cup-saucer-2", "draft", None)
    assert [variant["key"] for variant in shown["variants"]] == ["control", "test"]
    assert json_of(api.get(response.headers["Location"])) == shown


def test_clone__slug_taken__answers_409(api: Api, draft: Experiment) -> None:
    problem_of(api.post(f"{HERE}/clone", {"slug": "cup-saucer", "name": "Same"}), 409, "duplicate_slug")


@pytest.mark.parametrize("verb", [*VERBS, *OTHERS])
def test_verb__by_get__answers_405_and_changes_nothing(
    api: Api, draft: Experiment, fingerprint: Callable[[], str], verb: str
) -> None:
    before = fingerprint()

    response = api.get(f"{HERE}/{verb}")

    problem_of(response, 405, "method_not_allowed")
    assert response.headers["Allow"] == "POST"
    assert fingerprint() == before


def test_verbs__by_a_key__are_audited_with_actor_and_reason(api: Api, draft: Experiment) -> None:
    api.post(f"{HERE}/publish", {"reason": "go"})
    api.post(f"{HERE}/pause", {"reason": "stop"})

    events = ExperimentEvent.objects.filter(experiment=draft).order_by("id")
    assert [(event.actor, event.action, event.reason) for event in events] == [
        ("key:checkout", "publish", "go"),
        ("key:checkout", "pause", "stop"),
    ]
