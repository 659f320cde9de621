"""The benchmark runner: its table, its file and its exit codes, on figures that cost nothing to measure."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from tests.benchmarks import __main__ as runner
from tests.benchmarks.figures import Figure
from tests.benchmarks.retail import HEADER, order_lines, write_orders

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
    assert "There is no group improt; there is: decisions, import." in capsys.readouterr().err
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
