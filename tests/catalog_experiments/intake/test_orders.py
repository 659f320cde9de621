"""Orders: the first content is kept, states move forward only, and outcomes are decided at intake."""

import datetime as dt
import itertools
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalog_experiments.intake import (
    BundleAcceptanceService,
    ItemResult,
    OfferTaken,
    OrderEvent,
    OrderLine,
    record_orders,
)
from catalog_experiments.models import Bundle, Order, OrderOutcome
from catalog_experiments.units import digest_unit
from tests.builders import NOON, make_bundle

pytestmark = pytest.mark.django_db

HOUR = dt.timedelta(hours=1)
CUP, SAUCER = OrderLine("cup", 1, 2000, 900), OrderLine("saucer", 1, 1000, 400)


def order(**overrides: Any) -> OrderEvent:
    fields: dict[str, Any] = {
        "order_ref": "A-1",
        "placed_at": NOON,
        "currency": "EUR",
        "lines": (CUP, SAUCER),
        "unit_id": "visitor-1",
    }
    return OrderEvent(**(fields | overrides))


def record(*events: OrderEvent, now: dt.datetime = NOON + HOUR) -> list[tuple[str, str]]:
    return [(result.outcome, result.code) for result in record_orders(events, now=now)]


def accepted_by_slug() -> dict[str, bool]:
    return dict(OrderOutcome.objects.values_list("bundle__bundle_slug", "accepted"))


def test_order__is_stored_with_revenue_margin_and_the_digest_of_its_unit() -> None:
    record(order(lines=(CUP, OrderLine("saucer", 2, 1000, 400))))

    stored = Order.objects.get()
    assert (stored.order_ref, stored.unit, stored.placed_at) == ("A-1", digest_unit("visitor-1"), NOON)
    assert (stored.revenue_minor, stored.margin_minor, stored.currency) == (4000, 2300, "EUR")
    assert stored.lines[1] == {"slug": "saucer", "quantity": 2, "price_minor": 1000, "cost_minor": 400}
    assert stored.revised_at == stored.recorded_at


def test_order__with_an_unknown_cost__has_no_margin() -> None:
    record(order(lines=(CUP, OrderLine("saucer", 1, 1000))))

    assert Order.objects.get().margin_minor is None


def test_order__without_unit__is_stored_and_says_what_it_took() -> None:
    make_bundle()

    record(order(unit_id=None))

    assert Order.objects.get().unit is None
    assert accepted_by_slug() == {"cup-and-saucer": True}


def test_order__reported_again_in_another_line_order__is_a_duplicate() -> None:
    record(order())
    before = Order.objects.values().get()

    again = record(order(lines=(SAUCER, CUP)), order(source="import"))

    assert again == [("duplicate", ""), ("duplicate", "")]
    assert Order.objects.values().get() == before


@pytest.mark.parametrize(
    "change",
    [
        {"lines": (CUP,)},
        {"unit_id": "visitor-2"},
        {"placed_at": NOON - HOUR},
        {"currency": "USD"},
        {"accepted_bundles": ("cup-and-saucer",)},
    ],
)
def test_order__same_reference_with_other_content__is_a_conflict_and_the_first_is_kept(change: dict[str, Any]) -> None:
    record(order())
    before = Order.objects.values().get()

    assert record(order(**change)) == [("conflict", "content_differs")]
    assert Order.objects.values().get() == before


def test_order__repeated_within_a_batch__is_handled_in_turn() -> None:
    results = record(order(), order(), order(lines=(CUP,)), order(status="cancelled", cancelled_at=NOON))

    assert [outcome for outcome, _ in results] == ["accepted", "duplicate", "conflict", "revised"]
    assert Order.objects.get().status == "cancelled"


@pytest.mark.parametrize(
    ("overrides", "code"),
    [
        ({"order_ref": ""}, "order_ref_invalid"),
        ({"order_ref": "a\x00"}, "order_ref_invalid"),
        ({"unit_id": "\udfff"}, "unit_id_invalid"),
        ({"placed_at": NOON.replace(tzinfo=None)}, "placed_at_invalid"),
        ({"placed_at": NOON + HOUR + dt.timedelta(minutes=6)}, "future"),
        ({"placed_at": NOON - dt.timedelta(days=31)}, "too_late"),
        ({"currency": "eur"}, "currency_invalid"),
        ({"lines": ()}, "lines_missing"),
        ({"lines": (OrderLine("cup", 0, 1),)}, "quantity_invalid"),
        ({"lines": (OrderLine("cup", True, 1),)}, "quantity_invalid"),
        ({"lines": (OrderLine("cup", 1, -1),)}, "price_minor_invalid"),
        ({"lines": (OrderLine("cup", 10**12, 10**12),)}, "revenue_invalid"),
        ({"lines": (OrderLine("cup", 1, 1, returned=2),)}, "returned_invalid"),
        ({"status": "shipped"}, "status_invalid"),
        ({"cancelled_at": NOON}, "cancelled_at_invalid"),
        ({"refunded_minor": -1}, "refunded_minor_invalid"),
        ({"accepted_bundles": ("",)}, "accepted_bundles_invalid"),
        ({"offers": (OfferTaken("e", "v", "b", 1, NOON.replace(tzinfo=None)),)}, "offers_invalid"),
    ],
)
def test_order__that_breaks_a_rule__is_rejected_with_its_code(overrides: dict[str, Any], code: str) -> None:
    assert record(order(**overrides), order(order_ref="A-2")) == [("rejected", code), ("accepted", "")]
    assert Order.objects.count() == 1


def test_order__up_to_five_minutes_ahead__is_clamped_and_its_replay_a_duplicate() -> None:
    event = order(placed_at=NOON + HOUR + dt.timedelta(minutes=4))

    assert record(event) == [("accepted", "clamped")]
    assert Order.objects.get().placed_at == NOON + HOUR
    assert record(event, now=NOON + 2 * HOUR) == [("duplicate", "")]


def test_order__older_than_thirty_days__may_still_be_revised_and_imported() -> None:
    old = order(placed_at=NOON - dt.timedelta(days=60))

    (imported,) = record_orders([old], now=NOON, check_lateness=False)

    assert imported == ItemResult(0, "accepted")
    assert record(order(placed_at=old.placed_at, refunded_minor=500)) == [("revised", "")]


class TestStates:
    """How a known order moves forward."""

    def test_cancellation__keeps_the_first_time_and_moves_revised_at(self) -> None:
        record(order())
        first = Order.objects.get()

        results = record(
            order(status="cancelled", cancelled_at=NOON + 0.5 * HOUR),
            order(status="cancelled", cancelled_at=NOON + 0.75 * HOUR),
            order(status="paid"),
        )

        stored = Order.objects.get()
        assert results == [("revised", ""), ("duplicate", ""), ("duplicate", "")]
        assert (stored.status, stored.cancelled_at) == ("cancelled", NOON + 0.5 * HOUR)
        assert stored.revised_at > first.revised_at
        assert stored.recorded_at == first.recorded_at

    def test_return__of_a_component__takes_the_acceptance_back(self) -> None:
        make_bundle()
        record(order())

        result = record(order(lines=(CUP, OrderLine("saucer", 1, 1000, 400, returned=1)), refunded_minor=1000))

        stored = Order.objects.get()
        assert result == [("revised", "")]
        assert accepted_by_slug() == {"cup-and-saucer": False}
        assert (stored.revenue_minor, stored.refunded_minor, stored.margin_minor) == (3000, 1000, 2100)

    def test_refund__without_a_returned_component__keeps_the_acceptance(self) -> None:
        make_bundle()
        record(order())

        record(order(refunded_minor=500))

        assert accepted_by_slug() == {"cup-and-saucer": True}

    def test_return__reported_before_the_order__ends_in_the_same_state(self) -> None:
        make_bundle()
        returned = order(lines=(CUP, OrderLine("saucer", 1, 1000, 400, returned=1)), refunded_minor=1000)

        results = record(returned, order())

        assert results == [("accepted", ""), ("duplicate", "")]
        assert Order.objects.get().refunded_minor == 1000
        assert accepted_by_slug() == {"cup-and-saucer": False}


class TestOutcomes:
    """What an order says about the bundles of its products."""

    def test_order__without_the_anchor__says_nothing(self) -> None:
        make_bundle()

        record(order(lines=(SAUCER,)))

        assert accepted_by_slug() == {}

    def test_order__with_the_anchor_and_too_few_pieces__leaves_the_bundle(self) -> None:
        make_bundle(components=[{"slug": "cup", "quantity": 1}, {"slug": "saucer", "quantity": 2}])

        record(order(), order(order_ref="A-2", lines=(CUP, SAUCER, SAUCER)))

        assert list(OrderOutcome.objects.order_by("order__order_ref").values_list("accepted", flat=True)) == [
            False,
            True,
        ]

    def test_order__of_a_bundle_that_does_not_list_its_anchor__needs_the_rest(self) -> None:
        make_bundle(components=[{"slug": "saucer", "quantity": 1}])

        record(order(), order(order_ref="A-2", lines=(CUP,)))

        assert list(OrderOutcome.objects.order_by("order__order_ref").values_list("accepted", flat=True)) == [
            True,
            False,
        ]

    def test_bundle__without_components__is_never_taken_by_its_lines(self) -> None:
        make_bundle(components=[])

        record(order())

        assert accepted_by_slug() == {"cup-and-saucer": False}

    def test_outcome__is_decided_at_intake__and_a_later_edit_changes_nothing(self) -> None:
        make_bundle()
        record(order())
        Bundle.objects.update(components=[{"slug": "teapot", "quantity": 1}])

        record(order(), order(status="confirmed"))

        assert accepted_by_slug() == {"cup-and-saucer": True}

    def test_names__win_over_the_lines(self) -> None:
        make_bundle()
        make_bundle(bundle_slug="cup-and-spoon", components=[{"slug": "spoon", "quantity": 1}])

        record(order(accepted_bundles=("cup-and-spoon",)))

        assert accepted_by_slug() == {"cup-and-saucer": False, "cup-and-spoon": True}

    def test_names__of_unknown_bundles__are_said_and_the_order_is_kept(self) -> None:
        assert record(order(accepted_bundles=("nothing",))) == [("accepted", "bundle_unknown")]

    def test_names__without_lines__stand_until_the_order_is_cancelled(self) -> None:
        make_bundle()

        record(
            order(lines=(), accepted_bundles=("cup-and-saucer",)),
            order(lines=(), accepted_bundles=("cup-and-saucer",), refunded_minor=5),
        )

        assert accepted_by_slug() == {"cup-and-saucer": True}

    def test_names__with_a_returned_component__are_reversed(self) -> None:
        make_bundle()
        named: dict[str, Any] = {"accepted_bundles": ("cup-and-saucer",)}

        record(order(**named), order(lines=(CUP, OrderLine("saucer", 1, 1000, 400, returned=1)), **named))

        assert accepted_by_slug() == {"cup-and-saucer": False}

    @pytest.mark.parametrize(("valid_until", "accepted"), [(NOON, True), (NOON - HOUR, False), (None, True)])
    def test_offer__is_judged_on_its_own_copy_while_it_is_valid(
        self, valid_until: dt.datetime | None, accepted: bool
    ) -> None:
        make_bundle(components=[{"slug": "teapot", "quantity": 1}])
        seen = ({"slug": "cup", "quantity": 1}, {"slug": "saucer", "quantity": 1})

        record(order(offers=(OfferTaken("cup-saucer", "test", "cup-and-saucer", 3, valid_until, seen),)))

        assert accepted_by_slug() == {"cup-and-saucer": accepted}
        assert Order.objects.get().offers[0]["document_version"] == 3


def test_service__of_the_runbook__records_one_order() -> None:
    make_bundle()

    result = BundleAcceptanceService().record_order_acceptance(order(), now=NOON)

    assert result == ItemResult(0, "accepted")
    assert accepted_by_slug() == {"cup-and-saucer": True}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_orders__in_any_order_split_and_repetition__end_in_the_same_rows(data: st.DataObject) -> None:
    OrderOutcome.objects.all().delete()
    Order.objects.all().delete()
    Bundle.objects.get_or_create(
        bundle_slug="b", primary_product_slug="cup", components=[{"slug": "cup"}, {"slug": "saucer"}]
    )
    events = [
        order(
            order_ref=f"A-{ref}",
            status=status,
            cancelled_at=NOON + dt.timedelta(minutes=minute) if status == "cancelled" else None,
            refunded_minor=minute,
            traffic=traffic,
            lines=(CUP, OrderLine("saucer", 1, 1000, 400, returned=returned)),
        )
        for ref, status, minute, returned, traffic in data.draw(
            st.lists(
                st.tuples(
                    st.integers(0, 3),
                    st.sampled_from(["pending", "paid", "confirmed", "cancelled"]),
                    st.integers(0, 20),
                    st.integers(0, 1),
                    st.sampled_from([None, None, "test", "staff"]),
                ),
                max_size=12,
            )
        )
    ]
    record(*events)
    expected = _rows()
    OrderOutcome.objects.all().delete()
    Order.objects.all().delete()

    shuffled = data.draw(st.permutations(events + events[:3]))
    cut = data.draw(st.integers(0, len(shuffled)))
    for piece in itertools.chain([shuffled[:cut]], [shuffled[cut:]]):
        record(*piece)

    assert _rows() == expected


def _rows() -> list[Any]:
    orders = Order.objects.order_by("order_ref")
    kept = orders.values_list(
        "order_ref", "status", "cancelled_at", "refunded_minor", "lines", "margin_minor", "excluded_as"
    )
    return [*kept, *OrderOutcome.objects.order_by("order__order_ref").values_list("order__order_ref", "accepted")]
