"""POST /catalog/exposures and /catalog/orders: item by item, idempotent, one bad item never sinks the others."""

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoCaptureOnCommitCallbacks

from catalog_experiments.api.batches import InvalidItem, read_exposure, read_order
from catalog_experiments.api.serializers.intake import ExposureSerializer, OrderSerializer
from catalog_experiments.assignment import allocation, bucket
from catalog_experiments.models import Experiment, Exposure, IntakeOutcome, Order
from tests.builders import make_bundle, make_running_experiment
from tests.catalog_experiments.api.conftest import Api, json_of, problem_of

EXPOSURES = "/catalog/exposures"
ORDERS = "/catalog/orders"


def exposure(unit_id: str, **changes: Any) -> dict[str, Any]:
    """Return an exposure with the variant that the unit is really assigned."""
    phase = Experiment.objects.get(slug="cup-saucer").current_phase
    assert phase is not None
    ranges = allocation([variant["weight"] for variant in phase.variants], 10_000)
    place = bucket(phase.salt, unit_id)
    key = next(
        variant["key"] for variant, (start, end) in zip(phase.variants, ranges, strict=True) if start <= place < end
    )
    return {"experiment": "cup-saucer", "unit_id": unit_id, "variant_key": key, **changes}


def order(ref: str, **changes: Any) -> dict[str, Any]:
    """Return a paid order of a cup and a saucer, placed a moment ago."""
    return {
        "order_ref": ref,
        "placed_at": (dt.datetime.now(dt.UTC) - dt.timedelta(minutes=1)).isoformat(),
        "currency": "EUR",
        "lines": [
            {"slug": "cup", "quantity": 1, "price_minor": 2000, "cost_minor": 900},
            {"slug": "saucer", "quantity": 1, "price_minor": 1240},
        ],
        **changes,
    }


@pytest.fixture
def running(db: None) -> Experiment:
    """An experiment that has been running for an hour."""
    return make_running_experiment(now=dt.datetime.now(dt.UTC) - dt.timedelta(hours=1))


def test_exposures__several__are_accepted_and_stored_as_digests(api: Api, running: Experiment) -> None:
    response = api.post(EXPOSURES, {"exposures": [exposure("visitor-1"), exposure("visitor-2", phase=1)]})

    answer = json_of(response)
    assert response.status_code == 200
    assert [(one["index"], one["outcome"]) for one in answer["results"]] == [(0, "accepted"), (1, "accepted")]
    assert answer["counts"] == {"accepted": 2, "duplicate": 0, "conflict": 0, "revised": 0, "rejected": 0}
    assert Exposure.objects.count() == 2
    assert "visitor-1" not in repr(list(Exposure.objects.values()))


def test_exposures__sent_again__are_duplicates(api: Api, running: Experiment, fingerprint: Callable[[], str]) -> None:
    body = {"exposures": [exposure("visitor-1", exposed_at=dt.datetime.now(dt.UTC).isoformat())]}
    api.post(EXPOSURES, body)
    before = fingerprint()

    answer = json_of(api.post(EXPOSURES, body))

    assert answer["counts"]["duplicate"] == 1
    assert fingerprint() == before


def as_segment(native: dict[str, Any]) -> dict[str, Any]:
    """Return an exposure as Segment tells it."""
    return {
        "type": "track",
        "event": "Experiment Viewed",
        "messageId": "m-1",
        "anonymousId": native["unit_id"],
        "properties": {"experiment_id": native["experiment"], "variation_id": native["variant_key"]},
    }


def as_growthbook(native: dict[str, Any]) -> dict[str, Any]:
    """Return an exposure as a GrowthBook tracking callback hears of it."""
    result = {"key": native["variant_key"], "hashAttribute": "id", "hashValue": native["unit_id"], "inExperiment": True}
    return {"experiment": {"key": native["experiment"]}, "result": result}


def test_exposures__in_three_shapes__are_kept_in_their_places(api: Api, running: Experiment) -> None:
    items = [
        exposure("visitor-1"),
        as_segment(exposure("visitor-2")),
        {"type": "track", "event": "Order Completed", "properties": {}},
        as_growthbook(exposure("visitor-3")),
        as_growthbook(exposure("visitor-3")),
        {"experiment": {"key": "ghost"}, "result": {"key": "test", "hashValue": "x"}},
    ]

    answer = json_of(api.post(EXPOSURES, {"exposures": items}))

    assert [(one["index"], one["outcome"], one["code"]) for one in answer["results"]] == [
        (0, "accepted", ""),
        (1, "accepted", ""),
        (2, "rejected", "not_an_exposure"),
        (3, "accepted", ""),
        (4, "duplicate", ""),
        (5, "rejected", "experiment_unknown"),
    ]
    assert Exposure.objects.count() == 3


def test_exposures__bodies_of_other_tools__need_no_wrapping(browser: Api, running: Experiment) -> None:
    segment, pair = as_segment(exposure("visitor-1")), as_growthbook(exposure("visitor-2"))
    bodies: list[dict[str, Any]] = [segment, pair, {"batch": [segment, as_segment(exposure("visitor-3"))]}]

    answers = [json_of(browser.post(EXPOSURES, body)) for body in bodies]

    assert [[one["outcome"] for one in answer["results"]] for answer in answers] == [
        ["accepted"],
        ["accepted"],
        ["duplicate", "accepted"],
    ]


def test_exposures__another_variant_than_computed__is_counted_for_the_computed_one(
    api: Api, running: Experiment
) -> None:
    right = exposure("visitor-1")
    wrong = {"control": "test", "test": "control"}[right["variant_key"]]

    answer = json_of(api.post(EXPOSURES, {"exposures": [{**right, "variant_key": wrong}]}))

    row = Exposure.objects.get()
    assert (answer["results"][0]["outcome"], answer["results"][0]["code"]) == ("accepted", "client_fault")
    assert (row.variant_key, row.claimed_key, row.is_fault) == (right["variant_key"], wrong, True)


def test_exposures__by_the_public_key__are_accepted(browser: Api, running: Experiment) -> None:
    answer = json_of(browser.post(EXPOSURES, {"exposures": [exposure("visitor-1")]}))

    assert answer["counts"]["accepted"] == 1


@pytest.mark.parametrize("place", [0, 1, 2])
def test_exposures__one_bad_item__the_others_are_kept(api: Api, running: Experiment, place: int) -> None:
    items: list[Any] = [exposure(f"visitor-{number}") for number in range(2)]
    items.insert(place, {"experiment": "cup-saucer"})

    answer = json_of(api.post(EXPOSURES, {"exposures": items}))

    assert answer["counts"] == {"accepted": 2, "duplicate": 0, "conflict": 0, "revised": 0, "rejected": 1}
    assert [one["index"] for one in answer["results"]] == [0, 1, 2]
    assert answer["results"][place]["outcome"] == "rejected"
    assert answer["results"][place]["code"] == "required"
    assert "unit_id" in answer["results"][place]["detail"]


BAD_EXPOSURES = {
    "no-object": "visitor",
    "null": None,
    "unknown-field": {"colour": 1},
    "unknown-experiment": {"experiment": "ghost"},
    "experiment-as-number": {"experiment": 5},
    "experiment-as-list": {"experiment": ["cup-saucer"]},
    "unit-as-number": {"unit_id": 5},
    "empty-unit": {"unit_id": ""},
    "long-unit": {"unit_id": "x" * 256},
    "unknown-variant": {"variant_key": "ghost"},
    "phase-as-text": {"phase": "1"},
    "holdout-as-text": {"is_holdout": "yes"},
    "holdout-of-a-test-variant": {"is_holdout": True, "variant_key": "test"},
    "customer": {"customer_id": "7"},
    "phase-as-boolean": {"phase": True},
    "phase-as-list": {"phase": [1]},
    "phase-as-float": {"phase": 1.0},
    "unknown-phase": {"phase": 99},
    "time-as-number": {"exposed_at": 1_700_000_000},
    "time-without-offset": {"exposed_at": "2026-03-02T12:00:00"},
    "date-alone": {"exposed_at": "2026-03-02"},
    "empty-time": {"exposed_at": ""},
    "arabic-time": {"exposed_at": "\u0662\u0660\u0662\u0666-03-02T12:00:00Z"},
    "impossible-time": {"exposed_at": "2026-02-30T12:00:00Z"},
    "year-1": {"exposed_at": "0001-01-01T00:00:00+14:00"},
    "year-9999": {"exposed_at": "9999-12-31T23:59:59-14:00"},
    "in-an-hour": {"exposed_at": (dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)).isoformat()},
    "in-1970": {"exposed_at": "1970-01-01T00:00:00Z"},
    "segments-as-list": {"segments": ["phone"]},
    "segment-as-number": {"segments": {"device": 1}},
    "too-many-segments": {"segments": {str(number): "x" for number in range(21)}},
}


@pytest.mark.parametrize("change", BAD_EXPOSURES.values(), ids=BAD_EXPOSURES.keys())
def test_exposures__odd_item__is_rejected_with_code_and_sentence(
    api: Api, running: Experiment, fingerprint: Callable[[], str], change: Any
) -> None:
    item = {**exposure("visitor-1"), **change} if isinstance(change, dict) else change
    before = fingerprint()

    response = api.post(EXPOSURES, {"exposures": [item]})

    assert response.status_code == 200, response.content
    [result] = json_of(response)["results"]
    assert result["outcome"] == "rejected"
    assert result["code"]
    assert result["detail"]
    assert fingerprint() == before


def test_orders__several__are_accepted(api: Api, db: None) -> None:
    make_bundle()

    answer = json_of(api.post(ORDERS, {"orders": [order("A-1"), order("A-2", unit_id="visitor-1")]}))

    assert answer["counts"]["accepted"] == 2
    assert Order.objects.get(order_ref="A-1").revenue_minor == 3240


def test_orders__again_with_a_later_state__revise(api: Api, db: None) -> None:
    first = order("A-1", status="paid")
    api.post(ORDERS, {"orders": [first]})

    again = json_of(api.post(ORDERS, {"orders": [first]}))
    cancelled = json_of(api.post(ORDERS, {"orders": [first | {"status": "cancelled"}]}))
    other = json_of(api.post(ORDERS, {"orders": [first | {"currency": "GBP"}]}))

    outcomes = [answer["results"][0]["outcome"] for answer in (again, cancelled, other)]
    assert outcomes == ["duplicate", "revised", "conflict"]
    assert Order.objects.get().status == "cancelled"
    assert Order.objects.get().currency == "EUR"


def test_orders__with_the_offer_they_were_made_through__are_accepted(api: Api, running: Experiment) -> None:
    offer = {
        "experiment": "cup-saucer",
        "variant": "test",
        "bundle": "cup-saucer-test",
        "document_version": 1,
        "valid_until": (dt.datetime.now(dt.UTC) + dt.timedelta(hours=20)).isoformat(),
        "components": [{"slug": "cup", "quantity": 1}, {"slug": "saucer", "quantity": 1}],
    }

    answer = json_of(api.post(ORDERS, {"orders": [order("A-1", unit_id="visitor-1", offers=[offer])]}))

    assert answer["counts"]["accepted"] == 1, answer
    assert Order.objects.get().offers[0]["bundle"] == "cup-saucer-test"


BAD_ORDERS = {
    "no-object": [],
    "unknown-field": {"total": 5},
    "ref-as-number": {"order_ref": 17},
    "no-ref": {"order_ref": None},
    "long-ref": {"order_ref": "x" * 151},
    "no-time": {"placed_at": None},
    "time-without-offset": {"placed_at": "2026-03-02T12:00:00"},
    "tomorrow": {"placed_at": (dt.datetime.now(dt.UTC) + dt.timedelta(days=1)).isoformat()},
    "small-currency": {"currency": "eur"},
    "currency-as-number": {"currency": 978},
    "currency-with-newline": {"currency": "EUR\n"},
    "greek-currency": {"currency": "\u0395\u03a5\u03a1"},
    "unknown-status": {"status": "shipped"},
    "status-as-list": {"status": ["paid"]},
    "status-as-null": {"status": None},
    "no-lines": {"lines": []},
    "lines-as-object": {"lines": {"cup": 1}},
    "line-as-text": {"lines": ["cup"]},
    "line-without-price": {"lines": [{"slug": "cup", "quantity": 1}]},
    "line-unknown-field": {"lines": [{"slug": "cup", "quantity": 1, "price_minor": 1, "tax": 1}]},
    "quantity-zero": {"lines": [{"slug": "cup", "quantity": 0, "price_minor": 1}]},
    "quantity-as-text": {"lines": [{"slug": "cup", "quantity": "1", "price_minor": 1}]},
    "quantity-as-boolean": {"lines": [{"slug": "cup", "quantity": True, "price_minor": 1}]},
    "quantity-in-arabic-digits": {"lines": [{"slug": "cup", "quantity": "\u0663", "price_minor": 1}]},
    "price-as-float": {"lines": [{"slug": "cup", "quantity": 1, "price_minor": 9.99}]},
    "negative-price": {"lines": [{"slug": "cup", "quantity": 1, "price_minor": -1}]},
    "price-past-64-bits-in-sum": {"lines": [{"slug": "cup", "quantity": 10**12, "price_minor": 10**12}]},
    "unit-as-number": {"unit_id": 5},
    "bundles-as-text": {"accepted_bundles": "cup-and-saucer"},
    "bundle-as-number": {"accepted_bundles": [5]},
    "offers-as-object": {"offers": {}},
    "offer-without-bundle": {"offers": [{"experiment": "e", "variant": "v", "document_version": 1}]},
    "offer-version-as-text": {"offers": [{"experiment": "e", "variant": "v", "bundle": "b", "document_version": "1"}]},
    "cancelled-at-without-status": {"cancelled_at": "2026-03-02T12:00:00Z"},
    "refund-as-text": {"refunded_minor": "5"},
    "negative-refund": {"refunded_minor": -5},
    "source-as-null": {"source": None},
}


@pytest.mark.parametrize("change", BAD_ORDERS.values(), ids=BAD_ORDERS.keys())
def test_orders__odd_item__is_rejected_and_its_neighbours_are_kept(api: Api, db: None, change: Any) -> None:
    item = {**order("odd"), **change} if isinstance(change, dict) else change

    response = api.post(ORDERS, {"orders": [order("A-1"), item, order("A-2")]})

    assert response.status_code == 200, response.content
    outcomes = [result["outcome"] for result in json_of(response)["results"]]
    assert outcomes == ["accepted", "rejected", "accepted"]
    assert set(Order.objects.values_list("order_ref", flat=True)) == {"A-1", "A-2"}


@pytest.mark.parametrize(("path", "name"), [(EXPOSURES, "exposures"), (ORDERS, "orders")])
@pytest.mark.parametrize(
    "body",
    [
        pytest.param([], id="bare-list"),
        pytest.param({}, id="no-list"),
        pytest.param({"events": []}, id="another-name"),
        pytest.param({"NAME": None}, id="null"),
        pytest.param({"NAME": {}}, id="object"),
        pytest.param({"NAME": [], "more": 1}, id="something-beside"),
        pytest.param({"NAME": [{}] * 1_001}, id="1001-items"),
    ],
)
def test_batch__not_in_shape__answers_422(api: Api, path: str, name: str, body: Any) -> None:
    if isinstance(body, dict):
        body = {name if key == "NAME" else key: value for key, value in body.items()}

    problem_of(api.post(path, body), 422, "invalid")


@pytest.mark.parametrize(("path", "name"), [(EXPOSURES, "exposures"), (ORDERS, "orders")])
def test_batch__empty__is_fine(api: Api, path: str, name: str) -> None:
    answer = json_of(api.post(path, {name: []}))

    assert answer["results"] == []


@pytest.mark.parametrize("path", [EXPOSURES, ORDERS, "/orders/"])
def test_batch__more_than_a_megabyte__answers_413(api: Api, path: str) -> None:
    body = b'{"exposures": ["' + b"x" * 1_000_000 + b'"]}'

    problem_of(api.post(path, body), 413, "body_too_large")


def test_orders__refused_before_and_by_the_domain__are_counted_side_by_side(
    api: Api, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        api.post(ORDERS, {"orders": [order("A-1"), order("A-2", colour="blue"), order("A-3", currency="euro")]})

    counts = IntakeOutcome.objects.values_list("kind", "outcome", "code", "report_count")
    assert set(counts) == {("orders", "rejected", "unknown_field", 1), ("orders", "rejected", "currency_invalid", 1)}


def test_orders__at_the_predecessors_address__are_taken_too(api: Api, db: None) -> None:
    answer = json_of(api.post("/orders/", {"orders": [order("A-1")]}))

    assert answer["counts"]["accepted"] == 1


def test_exposures__a_thousand__take_as_many_queries_as_ten(api: Api, running: Experiment) -> None:
    def count(prefix: str, size: int) -> int:
        body = {"exposures": [exposure(f"{prefix}-{number}") for number in range(size)]}
        with CaptureQueriesContext(connection) as queries:
            assert json_of(api.post(EXPOSURES, body))["counts"]["accepted"] == size
        return len(queries)

    assert count("few", 10) == count("many", 1_000)


EXAMPLES = [
    (ExposureSerializer, read_exposure, {"experiment": "e", "unit_id": "u", "variant_key": "v"}),
    (
        ExposureSerializer,
        read_exposure,
        {
            "experiment": "e",
            "unit_id": "u",
            "variant_key": "v",
            "exposed_at": "2026-03-02T12:00:00+01:00",
            "phase": 2,
            "segments": {"device": "phone"},
            "traffic": "staff",
            "user_agent": "",
        },
    ),
    (
        OrderSerializer,
        read_order,
        {
            "order_ref": "A",
            "placed_at": "2026-03-02T12:00:00Z",
            "currency": "EUR",
            "lines": [{"slug": "cup", "quantity": 2, "price_minor": 5, "cost_minor": None, "returned": 1}],
            "unit_id": None,
            "status": "cancelled",
            "accepted_bundles": ["b"],
            "offers": [
                {
                    "experiment": "e",
                    "variant": "v",
                    "bundle": "b",
                    "document_version": 3,
                    "valid_until": None,
                    "components": [{"slug": "cup", "quantity": 1}],
                }
            ],
            "source": "pos",
            "cancelled_at": "2026-03-03T12:00:00Z",
            "refunded_minor": 5,
            "traffic": None,
            "user_agent": "Firefox",
            "payment": "test",
        },
    ),
]


@pytest.mark.parametrize(("described", "read", "item"), EXAMPLES)
def test_description__holds_the_same_fields_as_the_reader(described: Any, read: Any, item: dict[str, Any]) -> None:
    assert described(data=item).is_valid(), described(data=item).errors
    assert read(item)

    for name in described().fields:
        less = {key: value for key, value in item.items() if key != name}
        try:
            read(less)
            is_readable = True
        except InvalidItem:
            is_readable = False
        assert described(data=less).is_valid() == is_readable, name
    with pytest.raises(InvalidItem):
        read({**item, "more": 1})
    assert not described(data={**item, "more": 1}).is_valid()
