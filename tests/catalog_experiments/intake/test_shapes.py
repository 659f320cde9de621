"""Exposures in other tools' words: each becomes the row that our own form would have made, or says what is wrong."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from catalog_experiments.intake import ExposureEvent, Refused, record_exposures
from catalog_experiments.intake.shapes import read_growthbook, read_segment, reader_of
from catalog_experiments.models import Experiment, Exposure
from catalog_experiments.units import digest_unit
from tests.builders import NOON, make_running_experiment
from tests.catalog_experiments.intake.test_exposures import HOUR, unit_in


def segment(**changes: Any) -> dict[str, Any]:
    """Return the event as Segment's libraries send it, with what does not concern us."""
    properties = {
        "experiment_id": "cup-saucer",
        "experiment_name": "Cup and saucer",
        "variation_id": "test",
        "variation_name": "Test",
        "nonInteraction": 1,
    }
    event = {
        "type": "track",
        "event": "Experiment Viewed",
        "messageId": "ajs-next-1",
        "anonymousId": "visitor-1",
        "userId": None,
        "timestamp": "2026-03-02T13:00:00.000Z",
        "sentAt": "2026-03-02T13:00:01.000Z",
        "context": {"library": {"name": "analytics.js"}},
        "integrations": {},
        "properties": properties | changes.pop("properties", {}),
    }
    return event | changes


def growthbook(**changes: Any) -> dict[str, Any]:
    """Return both arguments of a tracking callback as the JavaScript SDK passes them."""
    experiment = {"key": "cup-saucer", "variations": [{}, {}], "hashVersion": 2, "phase": "1", "seed": "x"}
    result = {
        "key": "test",
        "variationId": 1,
        "value": {"bundle": "cup"},
        "inExperiment": True,
        "hashUsed": True,
        "hashAttribute": "id",
        "hashValue": "visitor-1",
        "bucket": 0.7,
        "featureId": "cup-saucer",
    }
    return {
        "experiment": experiment | changes.pop("experiment", {}),
        "result": result | changes.pop("result", {}),
    } | changes


def test_segment__as_sent__is_read_as_ours() -> None:
    event = read_segment(segment())

    assert event == ExposureEvent("cup-saucer", "visitor-1", "test", NOON + HOUR)


@pytest.mark.parametrize(
    ("changes", "field", "expected"),
    [
        ({"anonymousId": None, "userId": "customer-7"}, "unit_id", "customer-7"),
        ({"userId": "customer-7"}, "customer_id", "customer-7"),
        ({"userId": 7.0}, "customer_id", "7"),
        ({"timestamp": None}, "exposed_at", NOON + HOUR + dt.timedelta(seconds=1)),
        ({"timestamp": None, "sentAt": None}, "exposed_at", None),
        ({"properties": {"experiment_id": None, "experiment_name": "cup-saucer"}}, "experiment", "cup-saucer"),
        ({"properties": {"variation_id": None, "variation_name": "control"}}, "variant_key", "control"),
        ({"properties": {"variation_id": 1}}, "variant_position", 1),
        ({"properties": {"experiment_id": None, "experimentId": "camel"}}, "experiment", "camel"),
    ],
)
def test_segment__with_other_fields__takes_what_is_there(changes: dict[str, Any], field: str, expected: object) -> None:
    assert getattr(read_segment(segment(**changes)), field) == expected


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"event": "Order Completed"}, "not_an_exposure"),
        ({"properties": {"experiment_id": ["a"], "experiment_name": None}}, "experiment_id_invalid"),
        ({"timestamp": "yesterday"}, "timestamp_invalid"),
        ({"timestamp": 1_772_000_000}, "timestamp_invalid"),
        ({"timestamp": "2026-03-02T13:00:00"}, "timestamp_invalid"),
    ],
)
def test_segment__that_is_none__is_refused(changes: dict[str, Any], code: str) -> None:
    with pytest.raises(Refused) as refused:
        read_segment(segment(**changes))

    assert refused.value.code == code


def test_segment__of_a_bot__brings_its_name() -> None:
    event = segment(context={"userAgent": "Googlebot/2.1", "ip": "203.0.113.7"})

    assert read_segment(event).user_agent == "Googlebot/2.1"


def test_segment__without_properties__is_refused() -> None:
    with pytest.raises(Refused, match="experiment_id"):
        read_segment({"event": "Experiment Viewed", "properties": None})


def test_growthbook__as_called_back__is_read_as_ours() -> None:
    event = read_growthbook(growthbook())

    assert event == ExposureEvent("cup-saucer", "visitor-1", "test", phase=1, variant_position=1)


@pytest.mark.parametrize(
    ("changes", "field", "expected"),
    [
        ({"result": {"key": None}}, "variant_key", ""),
        ({"result": {"hashValue": 12345}}, "unit_id", "12345"),
        ({"experiment": {"phase": "first"}}, "phase", None),
        ({"experiment": {"phase": 3}}, "phase", 3),
        ({"experiment": {"phase": "9" * 5000}}, "phase", None),
        ({"timestamp": "2026-03-02T13:00:00Z"}, "exposed_at", NOON + HOUR),
    ],
)
def test_growthbook__with_other_fields__takes_what_is_there(
    changes: dict[str, Any], field: str, expected: object
) -> None:
    assert getattr(read_growthbook(growthbook(**changes)), field) == expected


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"result": {"inExperiment": False}}, "not_enrolled"),
        ({"result": {"hashAttribute": "deviceId"}}, "hash_attribute"),
        ({"result": {"hashValue": None}}, "hashValue_invalid"),
        ({"experiment": {"key": {}}}, "key_invalid"),
    ],
)
def test_growthbook__that_cannot_count__is_refused(changes: dict[str, Any], code: str) -> None:
    with pytest.raises(Refused) as refused:
        read_growthbook(growthbook(**changes))

    assert refused.value.code == code


@pytest.mark.parametrize(
    "item", [None, 5, "track", [], {"experiment": "cup-saucer", "unit_id": "a", "variant_key": "test"}, {"type": "x"}]
)
def test_reader_of__anything_else__is_none(item: object) -> None:
    assert reader_of(item) is None


@pytest.mark.django_db
class TestStored:
    """The three shapes of one exposure."""

    @pytest.fixture
    def experiment(self) -> Experiment:
        """Runs since noon."""
        return make_running_experiment()

    def test_three_shapes_of_one__end_in_one_row(self, experiment: Experiment) -> None:
        assert experiment.current_phase is not None
        unit = unit_in(experiment.current_phase, "test")
        events = [
            ExposureEvent("cup-saucer", unit, "test", NOON + HOUR),
            read_segment(segment(anonymousId=unit)),
            read_growthbook(growthbook(result={"hashValue": unit}, timestamp="2026-03-02T13:00:00Z")),
        ]

        results = record_exposures(events, now=NOON + 2 * HOUR)

        assert [(one.index, one.outcome) for one in results] == [(0, "accepted"), (1, "duplicate"), (2, "duplicate")]
        assert (Exposure.objects.get().variant_key, Exposure.objects.get().is_fault) == ("test", False)

    def test_position_alone__names_the_variant_of_the_phase(self, experiment: Experiment) -> None:
        assert experiment.current_phase is not None
        unit = unit_in(experiment.current_phase, "test")

        results = record_exposures(
            [
                read_growthbook(growthbook(result={"hashValue": unit, "key": None, "variationId": position}))
                for position in (1, 7)
            ],
            now=NOON + 2 * HOUR,
        )

        assert [(one.outcome, one.code) for one in results] == [("accepted", ""), ("rejected", "variant_unknown")]

    def test_customers_randomized__user_id__is_the_unit(self) -> None:
        experiment = make_running_experiment(unit_kind="customer")
        assert experiment.current_phase is not None
        customer = unit_in(experiment.current_phase, "test")

        record_exposures([read_segment(segment(userId=customer))], now=NOON + 2 * HOUR)

        assert Exposure.objects.get().unit == digest_unit(customer)
