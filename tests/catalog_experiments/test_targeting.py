"""Targeting: the public cases for every operator of the subset, JavaScript's coercions, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog_experiments.targeting import TargetingError, compile_condition, matches, validate
from catalog_experiments.targeting.coercion import is_truthy, to_number, to_text
from tests.shared import shared_path

VECTORS = json.loads((Path(__file__).parent / "vectors" / "javascript.json").read_text())
SUBSET = {"$in", "$nin", "$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$exists", "$regex", "$and", "$or", "$not"}
BROKEN_ON_PURPOSE = {"$in - not array", "$nin - not array", "$regex invalid - pass", "$regex invalid - fail"}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
conditions = st.recursive(
    json_values,
    lambda inner: (
        st.dictionaries(st.sampled_from(sorted(SUBSET | {"a", "a.b", "$size"})), inner, max_size=3)
        | st.lists(inner, max_size=3)
    ),
    max_leaves=8,
)


def operators_of(condition: object) -> set[str]:
    if isinstance(condition, dict):
        own = {key for key in condition if key.startswith("$")}
        return own.union(*(operators_of(value) for value in condition.values()))
    return set().union(*map(operators_of, condition)) if isinstance(condition, list) else set()


def public_cases() -> list[Any]:
    cases: list[Any] = json.loads(shared_path("vectors", "growthbook_cases.json").read_text())["evalCondition"]
    return cases


def test_matches__public_cases_of_the_subset__all_match() -> None:
    cases = [case for case in public_cases() if operators_of(case[1]) <= SUBSET]

    wrong = [name for name, condition, attributes, expected in cases if matches(condition, attributes) != expected]

    assert len(cases) == 84
    assert wrong == []


def test_validate__public_cases_of_the_subset__accepts_all_but_the_broken() -> None:
    cases = [case for case in public_cases() if operators_of(case[1]) <= SUBSET]

    refused = {case[0] for case in cases if is_refused(case[1])}

    assert refused == BROKEN_ON_PURPOSE


def test_validate__public_cases_outside_the_subset__refuses_all() -> None:
    cases = [case for case in public_cases() if not operators_of(case[1]) <= SUBSET]

    accepted = [case[0] for case in cases if not is_refused(case[1])]

    assert len(cases) == 164
    assert accepted == []


def is_refused(condition: object) -> bool:
    try:
        validate(condition)
    except TargetingError:
        return True
    return False


def test_coercion__values__as_javascript() -> None:
    cases = VECTORS["coercions"]

    read = [(to_text(case["value"]), number_of(case["value"]), is_truthy(case["value"])) for case in cases]

    assert read == [(case["text"], case["number"], case["truthy"]) for case in cases]


def number_of(value: object) -> float | str:
    number = to_number(value)
    if number != number:
        return "NaN"
    return "Infinity" if number == float("inf") else number


def test_matches__every_comparison__as_javascript() -> None:
    cases = VECTORS["comparisons"]

    wrong = [case for case in cases if comparisons_that_hold(case["value"], case["operand"]) != case["holds"]]

    assert len(cases) == 490
    assert wrong == []


def comparisons_that_hold(value: object, operand: object) -> list[str]:
    operands = {**dict.fromkeys(("$lt", "$lte", "$gt", "$gte", "$eq", "$ne"), operand), "$in": [operand]}
    held = [name for name, wanted in operands.items() if matches({"x": {name: wanted}}, {"x": value})]
    return [*held, "literal"] if matches({"x": operand}, {"x": value}) else held


def test_matches__patterns__as_javascript() -> None:
    cases = VECTORS["patterns"]

    wrong = [
        case for case in cases if matches({"x": {"$regex": case["pattern"]}}, {"x": case["value"]}) != case["holds"]
    ]

    assert len(cases) == 29
    assert wrong == []


@pytest.mark.parametrize(
    ("condition", "sentence"),
    [
        ([], "condition: must be an object"),
        ({"$nor": []}, r"\$nor: no group of the subset"),
        ({"$or": {"a": 1}}, r"\$or: must be a list"),
        ({"a": {"b": 1, "$gt": 2}}, r"a\.b: no operator of the subset"),
        ({"a": {"b": {"$gt": 2}}}, r"a\.b: \$gt stands inside a literal value"),
        ({"a": {"$in": "x"}}, r"a\.\$in: must be a list"),
        ({"a": {"$in": [[1]]}}, r"a\.\$in: lists only"),
        ({"a": {"$eq": {}}}, r"a\.\$eq: takes a text"),
        ({"a": {"$gt": None}}, r"a\.\$gt: takes a number or a text"),
        ({"a": {"$exists": 1}}, r"a\.\$exists: takes true or false"),
        ({"a": {"$regex": 5}}, r"a\.\$regex: takes a regular expression"),
        ({"$and": [{"ok": 1}, {"a": {"$type": "string"}}]}, r"\$and\[1\]\.a\.\$type"),
    ],
)
def test_validate__outside_the_subset__names_path_and_remedy(condition: object, sentence: str) -> None:
    with pytest.raises(TargetingError, match=sentence):
        validate(condition)


@pytest.mark.parametrize(
    "pattern",
    [
        "(a+)+$",
        "((a+)b)*",
        "(a|a)*$",
        "(a?){9}",
        "a++",
        "(?P<x>a)",
        "(?i)a",
        "[]a]",
        "[^]",
        "a{,3}",
        r"\Aa",
        "(",
        "a" * 501,
        "a*b*c*d*",
    ],
)
def test_validate__pattern_foreign_or_slow__is_refused(pattern: str) -> None:
    with pytest.raises(TargetingError):
        validate({"a": {"$regex": pattern}})


@pytest.mark.parametrize(
    "pattern", ["(Mobile|Tablet)", r"^(\d{4})+$", r"\++", "^[a-z]+(?:-[a-z]+)?$", "a(?=b)", "[+*]+?"]
)
def test_validate__ordinary_pattern__is_accepted(pattern: str) -> None:
    validate({"a": {"$regex": pattern}})


def test_validate__nested_without_end__is_refused() -> None:
    condition: dict[str, Any] = {"a": 1}
    for _ in range(2000):
        condition = {"$not": condition}

    with pytest.raises(TargetingError, match="nested deeper than 20 levels"):
        validate(condition)


def test_matches__broken_anywhere__is_met_by_nobody() -> None:
    condition = {"$or": [{"country": "US"}, {"tags": {"$size": 1}}]}

    assert not matches(condition, {"country": "US"})
    assert not matches({"$not": {"tags": {"$size": 1}}}, {"tags": []})


def test_matches__hostile_text__is_cut_and_ends() -> None:
    is_met = compile_condition({"agent": {"$regex": "a.*b.*c$"}})

    answer = is_met({"agent": "ab" * 500_000})

    assert not answer


def test_matches__huge_number__does_not_raise() -> None:
    assert not matches({"n": "x"}, {"n": 10**400})
    assert matches({"n": {"$gt": 5}}, {"n": 10**400})


@given(conditions, st.dictionaries(st.sampled_from(["a", "b"]), json_values, max_size=2))
def test_matches__anything__never_raises(condition: object, attributes: dict[str, object]) -> None:
    assert matches(condition, attributes) in (True, False)


@given(
    st.dictionaries(
        st.sampled_from(["a", "a.b", "c"]), json_values.filter(lambda value: not is_operator(value)), max_size=3
    )
)
def test_matches__negated__is_the_opposite(condition: dict[str, object]) -> None:
    attributes = {"a": 1, "c": "x"}

    assert matches({"$not": condition}, attributes) != matches(condition, attributes)


def is_operator(value: object) -> bool:
    return bool(operators_of(value))
