"""Turns of the verdict: told exactly, and found without reading what lies between them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalog_experiments.enforcement.turns import verdict_turns
from catalog_experiments.guardrails import Verdict
from catalog_experiments.models import Experiment, GuardrailEvaluation
from tests.builders import NOON, make_running_experiment

pytestmark = pytest.mark.django_db

VERDICTS = [verdict.value for verdict in Verdict]
TABLE = GuardrailEvaluation._meta.db_table

Told = tuple[str, str]
"""A verdict, and the action it led to."""


def make_records(experiment: Experiment, told: Iterable[Told]) -> list[GuardrailEvaluation]:
    """Store a record of each verdict, five minutes apart, behind those that are there."""
    known = GuardrailEvaluation.objects.count()
    return GuardrailEvaluation.objects.bulk_create(
        GuardrailEvaluation(
            sequence=sequence,
            experiment=experiment,
            phase=experiment.current_phase,
            evaluated_at=NOON + sequence * dt.timedelta(minutes=5),
            watermark_at=NOON + sequence * dt.timedelta(minutes=5),
            trigger="tick",
            inputs={},
            inputs_digest=f"{sequence:064x}",
            verdict=verdict,
            verdicts=[],
            action=action,
            rule_version="1",
            record_hash=f"{sequence:064x}",
        )
        for sequence, (verdict, action) in enumerate(told, start=known + 1)
    )


def records_read(ask: Callable[[], object]) -> int:
    """Return how many evaluation records the one statement of `ask` looks at, those that it passes over too."""
    with connection.cursor() as cursor:
        cursor.execute(f"ANALYZE {TABLE}")
        with CaptureQueriesContext(connection) as captured:
            ask()
        [statement] = captured.captured_queries
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement['sql']}")
        [explained] = cursor.fetchone()[0]
    return sum(_looked_at(node) for node in _steps(explained["Plan"]) if node.get("Relation Name") == TABLE)


def _looked_at(node: dict[str, Any]) -> int:
    passed_over = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
    looked_at: float = (node["Actual Rows"] + passed_over) * node["Actual Loops"]
    return round(looked_at)


def _steps(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for below in node.get("Plans", []):
        yield from _steps(below)


def turns_of(records: Sequence[GuardrailEvaluation]) -> list[int]:
    """Return the sequences of the turns by reading every record, newest first."""
    turned = [new for old, new in pairwise(records) if new.verdict != old.verdict or new.action == "paused"]
    return [record.sequence for record in reversed([*records[:1], *turned])]


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    told=st.lists(st.tuples(st.sampled_from(VERDICTS), st.sampled_from(["none", "paused", "alerted"]))),
    most=st.integers(min_value=1, max_value=12),
)
def test_turns__of_any_history__are_those_that_reading_all_of_it_finds(told: list[Told], most: int) -> None:
    experiment, other = (make_running_experiment(slug=uuid4().hex) for _ in range(2))
    make_records(other, [("outage", "none"), ("healthy", "paused")])
    records = make_records(experiment, told)
    make_records(other, [("hold", "none")])

    turns = verdict_turns(experiment, most=most)

    assert [record.sequence for record in turns] == turns_of(records)[:most]


def test_turns__history_a_hundred_times_as_long__reads_no_more_records() -> None:
    short, long = (make_running_experiment(slug=slug) for slug in ("short", "long"))
    make_records(short, [(verdict, "none") for verdict in VERDICTS[:3] for _ in range(20)])
    make_records(long, [(verdict, "none") for verdict in VERDICTS[:3] for _ in range(2_000)])

    of_short = records_read(lambda: verdict_turns(short, most=50))
    of_long = records_read(lambda: verdict_turns(long, most=50))

    assert of_long == of_short < 50


def test_newest_of__long_history__reads_one_record_a_phase() -> None:
    experiment, blank = make_running_experiment(), make_running_experiment(slug="blank")
    newest = make_records(experiment, [("healthy", "none")] * 6_000)[-1]
    phases = [experiment.current_phase_id, blank.current_phase_id, None]

    found = GuardrailEvaluation.objects.newest_of(phases)

    assert found == {experiment.current_phase_id: newest}
    assert records_read(lambda: GuardrailEvaluation.objects.newest_of(phases)) < 5
