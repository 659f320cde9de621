"""What a line of an order file says, and which lines say nothing about a sale."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from catalog_experiments.csv_files import CsvFile, UnreadableLine, parse_amount, parse_time
from catalog_experiments.progress import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFormat:
    """Which column holds what, and how to read it.

    Prices are per piece in the currency's main unit, with `minor_digits` digits after the point. Times without a zone
    are UTC. References that start with `cancellation_prefix` take back the order named by the rest. A blank
    `unit_column` means no order has a unit; `unit_prefix` is put before every unit.
    """

    order_ref_column: str = "order_ref"
    time_column: str = "time"
    unit_column: str = "unit"
    sku_column: str = "sku"
    quantity_column: str = "quantity"
    price_column: str = "price"
    unit_prefix: str = ""
    currency: str = "EUR"
    minor_digits: int = 2
    cancellation_prefix: str = ""
    delimiter: str = ","
    drop_repeated_lines: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns read, in the order of the readers below."""
        named = (self.order_ref_column, self.time_column, self.sku_column, self.quantity_column, self.price_column)
        return (*named, self.unit_column) if self.unit_column else named


ONLINE_RETAIL = OrderFormat(
    order_ref_column="InvoiceNo",
    time_column="InvoiceDate",
    unit_column="CustomerID",
    sku_column="StockCode",
    quantity_column="Quantity",
    price_column="UnitPrice",
    unit_prefix="customer:",
    currency="GBP",
    cancellation_prefix="C",
)
FORMATS: Mapping[str, OrderFormat] = {"plain": OrderFormat(), "online-retail": ONLINE_RETAIL}
"""Named formats; every field may be replaced."""

REPORT_EVERY = 5_000
MOST_EXAMPLES = 5


class Line(NamedTuple):
    """One product of an order as read; `cancels` says that its pieces came back; price in minor units."""

    number: int
    ref: str
    cancels: bool
    placed_at: datetime
    unit: str
    sku: str
    quantity: int
    price_minor: int


@dataclass(slots=True)
class Tally:
    """What was met so far: lines by kind, and some sentences about what could not be read or stored."""

    lines: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    def note(self, sentence: str) -> None:
        """Keep one of the first sentences."""
        if len(self.examples) < MOST_EXAMPLES:
            self.examples.append(sentence)


def read_lines(table: CsvFile, form: OrderFormat, tally: Tally, tell: Progress) -> Iterator[Line]:
    """Yield the lines that sell or take back pieces; count all, and leave out the others.

    Raises:
        UnreadableFile: the file breaks off or is no CSV.
    """
    for number, row in table:
        tally.lines["all"] += 1
        if tally.lines["all"] % REPORT_EVERY == 0:
            tell("reading", *table.position())
        try:
            line = _line(number, row, form)
        except UnreadableLine as error:
            tally.lines["unreadable"] += 1
            tally.note(f"line {number}: {error}")
            continue
        kind = _kind(line, is_free=Decimal(row[4]) <= 0)
        tally.lines[kind] += 1
        if kind in ("sold", "cancelled"):
            yield line._replace(quantity=abs(line.quantity))
    tell("reading", *table.position())


def _kind(line: Line, *, is_free: bool) -> str:
    if line.cancels:
        return "cancelled"
    if line.quantity <= 0:
        return "returned"
    return "free" if is_free else "sold"


def _line(number: int, row: Sequence[str], form: OrderFormat) -> Line:
    ref, time, sku, quantity, price = (text.strip() for text in row[:5])
    unit = row[5].strip() if form.unit_column else ""
    prefix = form.cancellation_prefix
    cancels = bool(prefix) and ref.startswith(prefix)
    if not ref or not sku:
        raise UnreadableLine("it names no order or no product")
    if "\x00" in ref + sku + unit:
        raise UnreadableLine("it holds a NUL character")
    return Line(
        number,
        ref[len(prefix) :] if cancels else ref,
        cancels,
        parse_time(time),
        unit and form.unit_prefix + unit,
        sku,
        _whole(quantity),
        parse_amount(price, form.minor_digits),
    )


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise UnreadableLine(f"{text!r} is no whole number") from error
