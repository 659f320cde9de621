"""The benchmark runner: its table, its file and its exit codes, on figures that cost nothing to measure."""

from __future__ import annotations

import datetime as dt
import gzip
import json
from pathlib import Path

import pytest

from catalog_experiments.aggregation import BundleAcceptanceAggregator
from catalog_experiments.models import Exposure, GuardrailTally, Moment, MomentMetric, Order
from tests.benchmarks import __main__ as runner
from tests.benchmarks.figures import Figure
from tests.benchmarks.retail import HEADER, order_lines, write_orders
from tests.benchmarks.telemetry import binary, by_hand, facts, shop
from tests.builders import NOON

GOOD, BAD = Figure("fast enough", 1.5, "s", 60), Figure("too fat", 301.0, "MB", 300)


@pytest.mark.parametrize(("figures", "code"), [([GOOD], 0), ([GOOD, BAD], 1)])
def test_main__figures_measured__are_kept_and_decide_the_exit_code(
    figures: list[Figure],
    code: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(runner, "GROUPS", {"sample": lambda: figures})

    returned = runner.main(["sample"], kept_in=tmp_path / "bench.json")

    assert returned == code
    assert "fast enough" in capsys.readouterr().out
    rows = json.loads((tmp_path / "bench.json").read_text())
    assert rows[0] == {"figure": "fast enough", "value": 1.5, "unit": "s", "goal": "< 60", "holds": True}
    assert [row["holds"] for row in rows] == [True, False][: len(figures)]


def test_main__unknown_group__names_those_there_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    returned = runner.main(["improt"], kept_in=tmp_path / "bench.json")

    assert returned == 2
    assert f"There is no group improt; there is: {', '.join(runner.GROUPS)}." in capsys.readouterr().err
    assert not (tmp_path / "bench.json").exists()


def test_order_lines__same_seed__same_lines_with_every_kind_of_mess() -> None:
    lines = list(order_lines(20_000, seed=7))

    assert lines == list(order_lines(20_000, seed=7))
    assert len(lines) == 20_000
    assert {line[0].startswith("C") for line in lines} == {True, False}
    assert any(line[2] == "" for line in lines)
    assert any(line[6] == "0.00" for line in lines)
    assert any(int(line[5]) < 0 for line in lines)
    assert len(set(lines)) < len(lines)


def test_write_orders__file__holds_header_and_lines(tmp_path: Path) -> None:
    write_orders(tmp_path / "orders.csv.gz", lines=300, seed=7)

    with gzip.open(tmp_path / "orders.csv.gz", "rt") as file:
        written = file.read().splitlines()

    assert written[0] == ",".join(HEADER)
    assert len(written) == 301


@pytest.mark.django_db
def test_month_of_facts__aggregated__equals_the_hand_written_sql() -> None:
    start_at = NOON - dt.timedelta(hours=12)
    writer = facts.Writer(shop.open_shop(start_at, count=20))
    for day in range(15):
        writer.write(facts.Stretch(day, start_at + dt.timedelta(days=day)), facts.Amount(exposures=300, orders=100))
    now = start_at + dt.timedelta(days=15)

    BundleAcceptanceAggregator().recompute(now=now)
    _, differing = by_hand.run(now=now)

    assert differing == {"moments": [], "tallies": [], "acceptance": []}
    assert Exposure.objects.count() > 4_000
    assert set(Moment.objects.values_list("metric", flat=True)) == set(MomentMetric.values)
    assert GuardrailTally.objects.exists()


@pytest.mark.django_db
def test_writer__same_days__writes_the_same_facts() -> None:
    start_at, told = NOON - dt.timedelta(hours=12), []
    slots = shop.open_shop(start_at, count=10)

    for _ in range(2):
        facts.Writer(slots).write(facts.Stretch(12, start_at + dt.timedelta(days=12)), facts.Amount(200, 100))
        exposures = Exposure.objects.order_by("unit", "phase").values_list("unit", "phase", "variant_key", "exposed_at")
        orders = Order.objects.order_by("order_ref").values_list("order_ref", "unit", "revenue_minor", "status")
        told.append((list(exposures), list(orders)))
        Order.objects.all().delete()
        Exposure.objects.all().delete()

    assert told[0] == told[1]
    assert (len(told[0][0]), len(told[0][1])) == (200, 100)


@pytest.mark.parametrize("value", [dt.datetime(1999, 12, 31, 23, 59, 59, 7, dt.UTC), NOON])
def test_since_epoch__time__is_what_the_database_counts(value: dt.datetime) -> None:
    assert binary.EPOCH + dt.timedelta(microseconds=binary.since_epoch(value)) == value
