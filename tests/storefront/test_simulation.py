"""Simulated visitors: true to their table, the same with the same seed, and patient with a web that restarts."""

from __future__ import annotations

import datetime as dt
import json
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from pytest_django.live_server_helper import LiveServer

from catalog_experiments.models import Exposure, Order
from storefront import simulation
from storefront.decisions import Decision
from storefront.demo import HARMFUL, seed_demo
from storefront.simulation import Crowd, IntakeRefused, Page, Prices, Reporter
from tests.builders import NOON
from tests.storefront.entries import BUNDLE

PRICES = {"cup": Prices(2400, 920), "saucer": Prices(1200, None)}
PAGES = (Page("cup", 1.0, {"control": 0.3, "test": 0.6, "": 0.1}),)


def decide(unit_id: str, context: Mapping[str, Any], product_slug: str) -> Decision | None:
    """Put every second visitor into the test variant."""
    number = int(unit_id.rsplit("-", 1)[1])
    key = "test" if number % 2 else "control"
    return Decision("cup-saucer", key, BUNDLE, {}, "SPLIT", is_enrolled=True, phase=1, document_version=7, bucket=1)


def make_crowd(**overrides: Any) -> Crowd:
    fields: dict[str, Any] = {"seed": 1, "run": "r", "decide": decide, "prices": PRICES, "pages": PAGES}
    return Crowd(**(fields | overrides))


def all_orders(crowd: Crowd, visitors: int) -> list[dict[str, Any]]:
    for _ in range(visitors):
        crowd.visit(NOON)
    return list(crowd.orders(NOON + dt.timedelta(minutes=1)))


def test_crowd__many_visitors__buy_and_take_as_the_table_says() -> None:
    orders = all_orders(make_crowd(), 20_000)

    taken = Counter(is_test(order) for order in orders if order["accepted_bundles"])
    bought = Counter(is_test(order) for order in orders)
    assert abs(len(orders) / 20_000 - simulation.CONVERSION) < 0.015
    assert abs(taken[True] / bought[True] - 0.6) < 0.03
    assert abs(taken[False] / bought[False] - 0.3) < 0.03


def test_crowd__visitor_held_out__is_reported_as_such() -> None:
    def hold_out(unit_id: str, context: Mapping[str, Any], product_slug: str) -> Decision | None:
        found = decide(unit_id, context, product_slug)
        return found and found._replace(reason="STATIC", variant_key="control", is_enrolled=False, is_holdout=True)

    exposure = make_crowd(decide=hold_out).visit(NOON)

    assert exposure is not None
    assert (exposure["variant_key"], exposure["is_holdout"]) == ("control", True)


def is_test(order: Mapping[str, Any]) -> bool:
    return int(order["unit_id"].rsplit("-", 1)[1]) % 2 == 1


def test_crowd__same_seed__does_the_same() -> None:
    once, again, other = (all_orders(make_crowd(seed=seed), 300) for seed in (7, 7, 8))

    assert once == again
    assert once != other


def test_crowd__two_runs__share_no_unit_and_no_order() -> None:
    first, second = (all_orders(make_crowd(run=run), 300) for run in ("a", "b"))

    assert not {order["order_ref"] for order in first} & {order["order_ref"] for order in second}


def test_crowd__order__comes_after_its_exposure_and_sums_to_the_offer() -> None:
    crowd = make_crowd()
    exposures = {event["unit_id"]: event for event in (crowd.visit(NOON) for _ in range(200)) if event}

    orders = list(crowd.orders(NOON + dt.timedelta(minutes=1)))

    for order in orders:
        total = sum(line["quantity"] * line["price_minor"] for line in order["lines"])
        assert order["placed_at"] >= exposures[order["unit_id"]]["exposed_at"]
        assert total == (3240 if order["accepted_bundles"] else 2400)
        assert [offer["bundle"] for offer in order["offers"]] == order["accepted_bundles"]


def test_crowd__paused_experiment__meets_control_unexposed_and_carries_no_offer() -> None:
    disabled = Decision("cup-saucer", "control", BUNDLE, {}, "DISABLED", False, 1, 8, None)
    crowd = make_crowd(decide=lambda *arguments: disabled)

    exposures = [crowd.visit(NOON) for _ in range(2_000)]
    orders = list(crowd.orders(NOON + dt.timedelta(minutes=1)))

    assert exposures == [None] * 2_000
    assert all(order["offers"] == [] for order in orders)
    assert abs(sum(bool(order["accepted_bundles"]) for order in orders) / len(orders) - 0.3) < 0.06


def test_crowd__no_experiment__takes_the_baseline_offer() -> None:
    crowd = make_crowd(decide=lambda *arguments: None, baselines={"cup": BUNDLE})

    orders = all_orders(crowd, 5_000)

    assert abs(sum(bool(order["accepted_bundles"]) for order in orders) / len(orders) - 0.1) < 0.03


class Intake(BaseHTTPRequestHandler):
    """An intake that answers what the test says: a status, or a dropped connection for 0."""

    answers: list[int]
    received: list[tuple[str, str, int]]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        [(name, items)] = body.items()
        status = self.answers.pop(0) if self.answers else 200
        if status == 0:
            self.close_connection = True
            return
        if status == 200:
            self.received.append((name, self.headers["X-API-Key"], len(items)))
        results = [{"index": place, "outcome": "accepted", "code": "", "detail": ""} for place in range(len(items))]
        payload = json.dumps({"results": results}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def intake() -> Iterator[tuple[str, type[Intake]]]:
    """Run the intake; gives its address and its class, where a test sets `answers` and reads `received`."""
    handler = type("IntakeOfTest", (Intake,), {"answers": [], "received": []})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", handler
        server.shutdown()
        thread.join()


def test_reporter__both_kinds__go_in_batches_exposures_first_each_with_its_key(
    intake: tuple[str, type[Intake]],
) -> None:
    address, handler = intake
    reporter = Reporter(address, server_key="server", client_key="client")
    reporter.add(exposures=[{"n": number} for number in range(501)], orders=[{"n": 1}])

    is_sent = reporter.flush()

    reporter.close()
    assert is_sent
    assert handler.received == [("exposures", "client", 500), ("exposures", "client", 1), ("orders", "server", 1)]
    assert reporter.waiting == 0


@pytest.mark.parametrize("trouble", [503, 500, 429, 0])
def test_reporter__web_restarts__keeps_the_batch_and_sends_it_once(
    intake: tuple[str, type[Intake]], trouble: int
) -> None:
    address, handler = intake
    handler.answers[:] = [trouble]
    reporter = Reporter(address, server_key="server")
    reporter.add(exposures=[], orders=[{"n": 1}, {"n": 2}])

    first, second = reporter.flush(), reporter.flush()

    reporter.close()
    assert (first, second) == (False, True)
    assert handler.received == [("orders", "server", 2)]
    assert reporter.outcomes["orders accepted"] == 2


def test_reporter__nobody_there__waits_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulation, "MAX_WAITING", 10)
    reporter = Reporter("http://127.0.0.1:9", server_key="server")

    reporter.add(exposures=[{"n": number} for number in range(25)], orders=[])

    assert not reporter.flush()
    reporter.close()
    assert (reporter.waiting, reporter.dropped) == (10, 15)


@pytest.mark.parametrize("status", [401, 403, 404, 422])
def test_reporter__wrong_key_or_address__says_so(intake: tuple[str, type[Intake]], status: int) -> None:
    address, handler = intake
    handler.answers[:] = [status]
    reporter = Reporter(address, server_key="wrong")
    reporter.add(exposures=[], orders=[{"n": 1}])

    with pytest.raises(IntakeRefused, match=str(status)):
        reporter.flush()
    reporter.close()


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("live_reader")
def test_command__against_the_real_intake__reports_exposures_and_orders(live_server: LiveServer) -> None:
    seed_demo(now=dt.datetime.now(dt.UTC))
    said = StringIO()

    call_command(
        "simulate_visitors", base_url=live_server.url, orders_per_second=60.0, duration=5.0, seed=3, stdout=said
    )

    assert Order.objects.count() > 60
    assert Exposure.objects.filter(is_fault=False).count() > 300
    assert not Exposure.objects.filter(is_fault=True).exists()
    assert set(Exposure.objects.values_list("variant_key", flat=True)) == {"control", "test"}
    assert f"{HARMFUL}: test (SPLIT)" in said.getvalue()
    assert "rejected" not in said.getvalue()


@pytest.mark.django_db
def test_command__empty_shop_wrong_rate_or_no_key__explains(settings: Any) -> None:
    with pytest.raises(CommandError, match="seed_demo"):
        call_command("simulate_visitors", duration=0.1)
    with pytest.raises(CommandError, match="above 0"):
        call_command("simulate_visitors", orders_per_second=0.0)
    settings.CHECKOUT_API_KEY = ""
    with pytest.raises(CommandError, match="CHECKOUT_API_KEY"):
        call_command("simulate_visitors")


def test_command__help__shows_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        call_command("simulate_visitors", "--help")

    assert "manage.py simulate_visitors --orders-per-second 25" in capsys.readouterr().out
