"""Order lines like those of an online gift shop: the real file where the data folder is there, else a generated one."""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import os
import random
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from tests.environment import PROJECT

LINES = 240_007
SEED = 2010
HEADER = ("InvoiceNo", "InvoiceDate", "CustomerID", "Country", "StockCode", "Quantity", "UnitPrice")
OPENED_AT = dt.datetime(2010, 12, 1, 8, 0, tzinfo=dt.UTC)
REAL_FILE = Path("data", "online_retail_lines.csv.gz")

Row = tuple[str, str, str, str, str, str, str]


def order_file(folder: Path) -> Path:
    """Return the file to import; a generated one is made in `folder` once and kept."""
    real = Path(os.environ.get("SMPLAT_SHARED") or PROJECT.parent / "shared") / REAL_FILE
    if real.exists():
        return real
    made = folder / f"orders-{SEED}-{LINES}.csv.gz"
    if not made.exists():
        write_orders(made, lines=LINES, seed=SEED)
    return made


def write_orders(path: Path, *, lines: int, seed: int) -> None:
    """Write a file of so many lines, with a progress bar on a terminal; the same seed writes the same lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".part")
    with (
        gzip.open(draft, "wt", newline="", compresslevel=6) as file,
        Progress(console=Console(stderr=True), transient=True) as progress,
    ):
        task = progress.add_task("generating orders", total=lines)
        rows = csv.writer(file)
        rows.writerow(HEADER)
        for number, row in enumerate(order_lines(lines, seed), start=1):
            rows.writerow(row)
            if number % 5_000 == 0:
                progress.update(task, completed=number)
    draft.replace(path)


def order_lines(count: int, seed: int) -> Iterator[Row]:
    """Yield `count` lines, invoice by invoice: sales, returns, free lines, repeated lines, blank customers."""
    chance, made, number = random.Random(seed), 0, 536_000
    while made < count:
        number += 1
        for row in _invoice(chance, number, OPENED_AT + dt.timedelta(minutes=26 * (number - 536_000)))[: count - made]:
            made += 1
            yield row


def _invoice(chance: random.Random, number: int, placed_at: dt.datetime) -> list[Row]:
    is_return = chance.random() < 0.17
    customer = "" if chance.random() < 0.2 else str(12_000 + chance.randrange(2_974))
    head = (f"{'C' * is_return}{number - chance.randrange(200) * is_return}", f"{placed_at:%Y-%m-%dT%H:%M}", customer)
    size = 1 + int(chance.expovariate(1 / 1.2)) if is_return else 1 + int(chance.expovariate(1 / 24))
    rows = [(*head, "United Kingdom", *_line(chance, is_return=is_return)) for _ in range(size)]
    return rows + [row for row in rows if chance.random() < 0.008]


def _line(chance: random.Random, *, is_return: bool) -> tuple[str, str, str]:
    # A few products are in many orders, most in few.
    sku = 20_000 + int(3_645 * chance.random() ** 3)
    pieces = 1 + int(chance.expovariate(1 / 8))
    price = 0.0 if chance.random() < 0.006 else round(0.4 + chance.expovariate(1 / 3), 2)
    return str(sku), str(-pieces if is_return else pieces), f"{price:.2f}"
