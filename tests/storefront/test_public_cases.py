"""The public conformance cases of feature evaluation, through our document, our decision and remote evaluation.

Which of them are claimed follows from what our payload can hold; docs/reference/protocols.md names the rest.
"""

from __future__ import annotations

import json
import math
from typing import Any

import orjson
import pytest

from catalog_experiments.assignment import BUCKETS, growthbook_hash, share_ranges
from storefront import decisions, ofrep
from tests.environment import PROJECT
from tests.shared import shared_path
from tests.storefront.conftest import Hold
from tests.storefront.entries import make_entry, make_variant

CLAIMED_RULE = {
    "id", "key", "name", "phase", "seed", "hashAttribute", "hashVersion", "variations", "weights", "coverage", "ranges",
    "meta", "condition", "filters", "active", "type",
}  # fmt: skip
CLAIMED_CONTEXT = {"attributes", "features"}
IGNORED = {"foo", "banditVersion"}
"""What the public cases themselves add to see it ignored."""


def public_cases(section: str) -> list[Any]:
    cases: list[Any] = json.loads(shared_path("vectors", "growthbook_cases.json").read_text())[section]
    return cases


def is_claimed(rule: dict[str, Any], context: dict[str, Any]) -> bool:
    """Say whether our payload could hold such a rule: one experiment on one attribute, filtered by the same one."""
    unit = rule.get("hashAttribute", "id")
    namespace = {"namespace"} if "filters" in rule else set()  # a namespace beside filters is ignored by everyone
    return (
        set(rule) <= CLAIMED_RULE | IGNORED | namespace
        and set(context) <= CLAIMED_CONTEXT
        and len(rule["variations"]) > 1
        and all(item.get("attribute", "id") == unit for item in rule.get("filters", ()))
        and not any(meta.get("passthrough") for meta in rule.get("meta", ()))
        and "$inGroup" not in json.dumps(rule)
    )


def entry_of(rule: dict[str, Any], key: str) -> dict[str, Any]:
    """Turn a GrowthBook experiment into an entry of our document; a salt says which hash it was made for."""
    values = rule["variations"]
    shares = rule.get("ranges") or share_ranges(len(values), rule.get("coverage", 1), rule.get("weights"))
    places = [[math.ceil(round(end * BUCKETS, 6)) for end in share] for share in shares]
    names = ["control", *(f"test-{number}" for number in range(1, len(values)))]
    variants = [
        make_variant(name, *place, bundle=None, payload={"value": value})
        for name, place, value in zip(names, places, values, strict=True)
    ]
    seed = rule.get("seed") or rule.get("key") or key
    return make_entry(
        slug=key,
        status="running" if rule.get("active", True) else "paused",
        salt=f"{rule.get('hashVersion', 1)}|{seed}",
        variants=variants,
        targeting=rule.get("condition", {}),
        filters=[{"seed": f"2|{item['seed']}", "ranges": bucketed(item["ranges"])} for item in rule.get("filters", ())],
    )


def bucketed(shares: list[list[float]]) -> list[list[int]]:
    return [[round(end * BUCKETS) for end in share] for share in shares]


@pytest.fixture
def any_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a salt name its hash version: most public cases use version 1, the rest of the decision is the same."""

    def bucket(salt: str, unit_id: str) -> int:
        version, _, seed = salt.partition("|")
        share = growthbook_hash(seed, unit_id, int(version))
        assert share is not None
        return round(share * BUCKETS)

    monkeypatch.setattr(decisions, "bucket", bucket)


def evaluated(key: str, context: dict[str, Any], unit_attribute: str = "id") -> tuple[Any, bool]:
    """Ask our engine as an OpenFeature client would; return the value and whether the visitor takes part."""
    attributes = dict(context.get("attributes", {}))
    answer = ofrep.evaluate_one(
        key, orjson.dumps({"context": {**attributes, "targetingKey": attributes.get(unit_attribute)}})
    )
    item = json.loads(answer.body)
    if answer.status != 200:
        return item["errorCode"], False
    return item["value"]["payload"].get("value"), item["metadata"]["inExperiment"]


def test_evaluate_one__public_run_cases__all_that_we_claim_match(hold: Hold, any_hash: None) -> None:
    cases = [case for case in public_cases("run") if is_claimed(case[2], case[1])]

    for name, context, experiment, value, takes_part, _ in cases:
        hold(entry_of(experiment, experiment["key"]))
        unit = experiment.get("hashAttribute", "id")
        # Without an id the client is told so and shows its own content.
        wanted = value if context.get("attributes", {}).get(unit) else "TARGETING_KEY_MISSING"
        assert evaluated(experiment["key"], context, unit) == (wanted, takes_part), name

    assert_documented("run", len(cases))


def test_evaluate_one__public_feature_cases__all_that_we_claim_match(hold: Hold, any_hash: None) -> None:
    claimed = [(case, entries) for case in public_cases("feature") if (entries := entries_of(case)) is not None]

    for (name, context, key, expected), entries in claimed:
        hold(*entries)
        unit = expected.get("experimentResult", {}).get("hashAttribute", "id")
        value = expected["value"] if entries else "FLAG_NOT_FOUND"
        # A feature that is one value for everybody needs no id with GrowthBook; our routes always want one.
        known = {**context, "attributes": {"id": "anyone", **context.get("attributes", {})}}
        assert evaluated(key, known, unit) == (value, expected["source"] == "experiment"), name

    assert_documented("feature", len(claimed))


def entries_of(case: list[Any]) -> list[dict[str, Any]] | None:
    """Return the document of a feature case, empty for an unknown feature; None when it is none of ours."""
    _, context, key, _ = case
    feature = context.get("features", {}).get(key)
    if feature is None:
        return []
    match feature.get("rules", []):
        case [] if "defaultValue" in feature:
            return [resting(key, feature["defaultValue"], "paused")]
        case [{"force": value, **others}] if set(others) <= {"id"}:
            return [resting(key, value, "completed")]
        case [{"variations": _} as rule] if is_claimed(rule, context):
            return [entry_of(rule, key)]
    return None


def resting(key: str, value: object, status: str) -> dict[str, Any]:
    """Make an experiment that shows everybody one value: its control while paused, once completed what it ships."""
    control = make_variant("control", 0, 5_000, bundle=None, payload={"value": value if status == "paused" else None})
    shipped = make_variant("test", 5_000, 10_000, bundle=None, payload={"value": value})
    return make_entry(slug=key, status=status, variants=[control, shipped], shipped_variant="test")


def assert_documented(section: str, count: int) -> None:
    page = (PROJECT / "docs" / "reference" / "protocols.md").read_text()
    assert f"| `{section}` | {count} of {len(public_cases(section))} |" in page
