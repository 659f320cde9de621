"""Remote evaluation, form by form: what clients send and what they get back."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import orjson
import pytest

from storefront import document, ofrep
from storefront.answers import Answer
from tests.storefront.conftest import Hold
from tests.storefront.entries import make_entry, make_variant

LOW, HIGH = "a", "b"  # buckets 505 and 2696 under the salt "seed"
SLUG = "cup-saucer"
OFFER = {"bundle": "cup-and-saucer", "payload": {"copy": "Fired together"}}


def asked(targeting_key: object = LOW, **attributes: Any) -> bytes:
    return orjson.dumps({"context": {"targetingKey": targeting_key, **attributes}})


def said(answer: Answer) -> Any:
    return json.loads(answer.body)


def split_at(bucket: int, **overrides: Any) -> dict[str, Any]:
    """Make an entry whose control ends where its test variant, with offer and copy, begins."""
    test = make_variant("test", bucket, 10_000, payload={"copy": "Fired together"})
    return make_entry(**{"variants": [make_variant("control", 0, bucket, bundle=None), test]} | overrides)


def test_evaluate_one__enrolled__is_split_with_an_object(hold: Hold) -> None:
    hold(split_at(2_000, phase=3))

    low, high = ofrep.evaluate_one(SLUG, asked(LOW)), ofrep.evaluate_one(SLUG, asked(HIGH))

    assert (low.status, high.status) == (200, 200)
    assert said(low)["variant"] == "control"
    assert said(high) == {
        "key": SLUG,
        "reason": "SPLIT",
        "variant": "test",
        "value": OFFER,
        "metadata": {"experiment": SLUG, "inExperiment": True, "phase": 3},
    }
    assert high.headers["Content-Type"] == "application/json"


NOT_ENROLLED = {
    "outside coverage": ({"variants": [make_variant("control", 0, 10), make_variant("test", 5_000, 5_010)]}, "STATIC"),
    "not targeted": ({"targeting": {"device": "mobile"}}, "STATIC"),
    "outside its group": ({"filters": [{"seed": "group", "ranges": []}]}, "STATIC"),
    "shadowed": ({"shadowed": True}, "STATIC"),
    "paused": ({"status": "paused"}, "DISABLED"),
    "completed": ({"status": "completed"}, "STATIC"),
}


@pytest.mark.parametrize(("overrides", "reason"), NOT_ENROLLED.values(), ids=NOT_ENROLLED)
def test_evaluate_one__not_enrolled__is_control(hold: Hold, overrides: dict[str, Any], reason: str) -> None:
    hold(make_entry(**overrides))

    item = said(ofrep.evaluate_one(SLUG, asked(HIGH, device="desktop")))

    assert (item["reason"], item["variant"], item["metadata"]["inExperiment"]) == (reason, "control", False)
    assert item["value"]["payload"] == {}


def test_evaluate__held_out__is_control_and_says_so(hold: Hold) -> None:
    left = {"seed": "holdout", "ranges": [[0, 0]]}
    hold(make_entry(filters=[left], holdouts=[{"seed": "holdout", "ranges": [[0, 10_000]]}]))

    item = said(ofrep.evaluate_one(SLUG, asked()))

    assert (item["reason"], item["variant"]) == ("STATIC", "control")
    assert item["metadata"] == {"experiment": SLUG, "inExperiment": False, "phase": 1, "inHoldout": True}
    assert said(ofrep.evaluate_all(asked()))["flags"] == [item]


def test_evaluate_one__forced__is_a_match_and_not_enrolled(hold: Hold) -> None:
    hold(make_entry(forced={LOW: "test"}))

    item = said(ofrep.evaluate_one(SLUG, asked(LOW)))

    assert (item["reason"], item["variant"], item["metadata"]["inExperiment"]) == ("TARGETING_MATCH", "test", False)


def test_evaluate_one__completed_and_shipped__is_the_winner_for_all(hold: Hold) -> None:
    hold(split_at(2_000, status="completed", shipped_variant="test"))

    items = [said(ofrep.evaluate_one(SLUG, asked(unit))) for unit in (LOW, HIGH)]

    assert [(item["reason"], item["variant"], item["value"]) for item in items] == [("STATIC", "test", OFFER)] * 2


def test_evaluate_one__targeted_by_attribute__sees_the_context_and_the_id(hold: Hold) -> None:
    hold(make_entry(targeting={"device": "mobile", "id": HIGH, "targetingKey": {"$exists": False}}))

    reasons = [
        said(ofrep.evaluate_one(SLUG, asked(unit, device=device, id=HIGH)))["reason"]
        for unit, device in ((HIGH, "mobile"), (HIGH, "desktop"), (LOW, "mobile"))
    ]

    assert reasons == ["SPLIT", "STATIC", "STATIC"]


def test_evaluate_one__unknown_or_draft__is_flag_not_found(hold: Hold) -> None:
    hold(make_entry())

    answer = ofrep.evaluate_one("no-such", asked())

    assert answer.status == 404
    assert said(answer) == {
        "key": "no-such",
        "errorCode": "FLAG_NOT_FOUND",
        "errorDetails": said(answer)["errorDetails"],
    }
    assert "no-such" in said(answer)["errorDetails"]


REFUSED = [
    (b"", "PARSE_ERROR"),
    (b"{", "PARSE_ERROR"),
    (b"[]", "PARSE_ERROR"),
    (b'"text"', "PARSE_ERROR"),
    (b'{"context": {"targetingKey": "\\ud800"}}', "PARSE_ERROR"),
    (b"[" * 100_000, "PARSE_ERROR"),
    (b"{}", "TARGETING_KEY_MISSING"),
    (b'{"context": null}', "TARGETING_KEY_MISSING"),
    (b'{"context": {}}', "TARGETING_KEY_MISSING"),
    (b'{"context": {"targetingKey": ""}}', "TARGETING_KEY_MISSING"),
    (b'{"context": {"targetingKey": null}}', "TARGETING_KEY_MISSING"),
    (b'{"context": ["a"]}', "INVALID_CONTEXT"),
    (b'{"context": "a"}', "INVALID_CONTEXT"),
    (asked(True), "INVALID_CONTEXT"),
    (asked(["a"]), "INVALID_CONTEXT"),
    (asked("x" * 256), "INVALID_CONTEXT"),
    (asked("a\x00"), "INVALID_CONTEXT"),
]


@pytest.mark.parametrize(("body", "code"), REFUSED, ids=range(len(REFUSED)))
def test_evaluate__unusable_body__says_what_is_wrong(hold: Hold, body: bytes, code: str) -> None:
    hold(make_entry())

    one, bulk = ofrep.evaluate_one(SLUG, body), ofrep.evaluate_all(body)

    assert (one.status, bulk.status) == (400, 400)
    assert (said(one)["key"], said(one)["errorCode"], said(bulk)["errorCode"]) == (SLUG, code, code)
    assert "key" not in said(bulk)
    assert said(one)["errorDetails"] == said(bulk)["errorDetails"] != ""
    assert "ETag" not in bulk.headers


def test_evaluate__number_as_targeting_key__counts_as_its_text(hold: Hold) -> None:
    hold(*(make_entry(slug=f"experiment-{number}", salt=f"salt-{number}") for number in range(20)))

    as_number, as_text = ofrep.evaluate_all(asked(123.0)), ofrep.evaluate_all(asked("123"))

    assert said(as_number)["flags"] == said(as_text)["flags"]


def test_evaluate_all__many__has_each_in_the_documents_order(hold: Hold) -> None:
    hold(split_at(2_000), make_entry(slug="second", status="paused"), make_entry(slug="third", status="completed"))

    answer = ofrep.evaluate_all(asked(HIGH))

    flags = said(answer)["flags"]
    assert [(flag["key"], flag["reason"]) for flag in flags] == [
        (SLUG, "SPLIT"),
        ("second", "DISABLED"),
        ("third", "STATIC"),
    ]
    assert flags == [said(ofrep.evaluate_one(flag["key"], asked(HIGH))) for flag in flags]
    assert answer.headers["Cache-Control"] == "private, no-cache"
    assert answer.headers["Vary"] == "Authorization, X-API-Key, Origin"


def test_evaluate_all__nothing_published__is_an_empty_list(hold: Hold) -> None:
    hold()

    assert said(ofrep.evaluate_all(asked()))["flags"] == []


def test_evaluate_all__one_broken__is_one_failed_item(hold: Hold) -> None:
    hold(make_entry(), make_entry(slug="broken", phase="many"))

    answer, alone = ofrep.evaluate_all(asked()), ofrep.evaluate_one("broken", asked())

    whole, broken = said(answer)["flags"]
    assert (answer.status, alone.status) == (200, 400)
    assert whole["reason"] == "SPLIT"
    assert (broken["key"], broken["errorCode"]) == ("broken", "GENERAL")
    assert set(broken) == {"key", "errorCode", "errorDetails"}
    assert said(alone) == broken


def test_evaluate_all__etag__follows_the_answer_and_nothing_else(hold: Hold) -> None:
    entry = split_at(2_000, targeting={"device": "mobile"})
    bodies = [
        asked(HIGH, device="mobile"),
        asked(HIGH, device="mobile", extra=1),
        asked(HIGH),
        asked(LOW, device="mobile"),
    ]

    hold(entry)
    same, also, other, another = (ofrep.evaluate_all(body).headers["ETag"] for body in bodies)
    hold(entry, version=8)
    later = ofrep.evaluate_all(bodies[0])
    hold(entry | {"phase": 2}, version=9)
    renewed = ofrep.evaluate_all(bodies[0])

    assert re.fullmatch(r'"[0-9a-f]{32}"', same)
    assert same == also == later.headers["ETag"]
    assert len({same, other, another, renewed.headers["ETag"]}) == 4
    assert said(later)["metadata"]["version"] == 8


def test_evaluate__lease_over__is_control_without_a_reason(hold: Hold, monkeypatch: pytest.MonkeyPatch) -> None:
    rests = [
        make_entry(slug="paused", status="paused"),
        make_entry(slug="won", status="completed", shipped_variant="test"),
    ]
    hold(make_entry(forced={HIGH: "test"}), make_entry(slug="broken", phase="many"), *rests)
    monkeypatch.setattr(document.reader(), "_confirmed_at", time.monotonic() - 601)

    answer = ofrep.evaluate_all(asked(HIGH))

    flags = said(answer)["flags"]
    assert answer.status == 200
    assert [(flag["reason"], flag["variant"], flag["metadata"]["inExperiment"]) for flag in flags] == [
        ("UNKNOWN", "control", False),
        ("UNKNOWN", "control", False),
        ("DISABLED", "control", False),
        ("STATIC", "test", False),
    ]
    assert flags == [said(ofrep.evaluate_one(flag["key"], asked(HIGH))) for flag in flags]
    assert ofrep.evaluate_one("no-such", asked(HIGH)).status == 404


def test_evaluate__no_document_ever__is_an_error_that_clients_retry() -> None:
    one, bulk = ofrep.evaluate_one(SLUG, asked()), ofrep.evaluate_all(asked())

    assert (one.status, bulk.status) == (500, 500)
    assert (list(said(one)), list(said(bulk))) == (["key", "errorCode", "errorDetails"], ["errorCode", "errorDetails"])
