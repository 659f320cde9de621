"""Files of order lines: any order of lines, returns, free and broken lines, cancellations, repetition."""

import datetime as dt
import gzip
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from catalog_experiments.csv_files import UnreadableFile
from catalog_experiments.models import Order, OrderOutcome
from catalog_experiments.order_import import ONLINE_RETAIL, OrderFormat, OrderImportResult, import_orders
from catalog_experiments.units import digest_unit
from tests.builders import NOON, make_bundle

pytestmark = pytest.mark.django_db

HEADER = "order_ref,time,unit,sku,quantity,price"
PLAIN = OrderFormat(unit_prefix="customer:", cancellation_prefix="C")


def write(folder: Path, *lines: str, header: str = HEADER, name: str = "orders.csv") -> Path:
    path = folder / name
    text = "\n".join([header, *lines]) + "\n"
    if name.endswith(".gz"):
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    return path


def load(path: Path, **overrides: Any) -> OrderImportResult:
    form = OrderFormat(**({"unit_prefix": "customer:", "cancellation_prefix": "C"} | overrides))
    return import_orders(path, form=form, now=NOON)


def test_import__gathers_the_lines_of_an_order_wherever_they_stand(tmp_path: Path) -> None:
    make_bundle()
    path = write(
        tmp_path,
        "1,2010-12-01T08:26,17850,cup,2,2.55",
        "2,2010-12-01T09:00,,cup,1,2.55",
        "1,2010-12-01T08:27,17850,saucer,1,3.395",
        name="orders.csv.gz",
    )

    result = load(path)

    first, second = Order.objects.order_by("order_ref")
    assert (result.lines, result.orders, result.answers) == (3, 2, {"accepted": 2})
    assert (first.placed_at, first.unit) == (
        dt.datetime(2010, 12, 1, 8, 26, tzinfo=dt.UTC),
        digest_unit("customer:17850"),
    )
    assert (first.revenue_minor, first.currency, first.source) == (850, "EUR", "import")
    assert second.unit is None
    assert dict(OrderOutcome.objects.values_list("order__order_ref", "accepted")) == {"1": True, "2": False}


def test_import__counts_what_it_leaves_out(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "1,2010-12-01T08:26,1,cup,1,2.55",
        "1,2010-12-01T08:26,1,cup,-1,2.55",
        "1,2010-12-01T08:26,1,cup,1,0",
        "1,2010-12-01,1,cup,one,2.55",
        "1,yesterday,1,cup,1,2.55",
        "1,2010-12-01T08:26,1,cup,1,NaN",
        ",2010-12-01T08:26,1,cup,1,2.55",
        "1,2010-12-01T08:26,1,c\x00up,1,2.55",
        "2,2010-12-01T08:26,1,cup,0,2.55",
    )

    result = load(path)

    assert (result.returned_lines, result.free_lines, result.unreadable_lines) == (2, 1, 5)
    assert (result.orders, Order.objects.get().revenue_minor) == (1, 255)
    assert result.examples[0] == "line 5: 'one' is no whole number"


@pytest.mark.parametrize(("drop", "revenue"), [(False, 765), (True, 510)])
def test_import__of_repeated_lines__adds_them_up_unless_told_otherwise(
    tmp_path: Path, drop: bool, revenue: int
) -> None:
    line = "1,2010-12-01T08:26,1,cup,1,2.55"
    path = write(tmp_path, line, line, "1,2010-12-01T08:26,1,saucer,1,2.55")

    result = load(path, drop_repeated_lines=drop)

    assert (result.repeated_lines, Order.objects.get().revenue_minor) == (1, revenue)


def test_import__of_a_cancellation__takes_back_what_it_names(tmp_path: Path) -> None:
    make_bundle()
    path = write(
        tmp_path,
        "C1,2010-12-02T08:00,1,saucer,-1,3.00",
        "1,2010-12-01T08:26,1,cup,1,2.00",
        "1,2010-12-01T08:26,1,saucer,1,3.00",
        "2,2010-12-01T08:26,1,cup,1,2.00",
        "C2,2010-12-02T08:00,1,cup,-1,2.00",
        "C9,2010-12-02T08:00,1,cup,-1,2.00",
    )

    result = load(path)

    partly, wholly = Order.objects.order_by("order_ref")
    assert (result.cancellations, result.unmatched_cancellations) == (3, 1)
    assert (partly.status, partly.refunded_minor, partly.lines[1]["returned"]) == ("paid", 300, 1)
    assert not OrderOutcome.objects.get(order=partly).accepted
    assert (wholly.status, wholly.cancelled_at) == ("cancelled", dt.datetime(2010, 12, 2, 8, tzinfo=dt.UTC))


def test_import__run_again__changes_nothing(tmp_path: Path) -> None:
    path = write(tmp_path, "1,2010-12-01T08:26,1,cup,1,2.55", "C1,2010-12-02T08:26,1,cup,-1,2.55")
    load(path)
    before = Order.objects.values().get()

    again = load(path)

    assert again.answers == {"duplicate": 1}
    assert Order.objects.values().get() == before


def test_import__of_an_order_with_two_units__keeps_the_first_and_says_so(tmp_path: Path) -> None:
    path = write(tmp_path, "1,2010-12-01T08:26,a,cup,1,2.55", "1,2010-12-01T08:26,b,saucer,1,2.55")

    result = load(path)

    assert result.orders_with_many_units == 1
    assert Order.objects.get().unit == digest_unit("customer:a")


def test_import__of_an_order_that_cannot_be_stored__keeps_the_others(tmp_path: Path) -> None:
    path = write(tmp_path, f"1,2010-12-01T08:26,1,{'x' * 200},1,2.55", "2,2010-12-01T08:26,1,cup,1,2.55")

    result = load(path)

    assert result.answers == {"accepted": 1, "rejected": 1}
    assert result.examples == ("order 1: slug must be a text of 1 to 150 characters.",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"order_ref,time\n", "has no column 'sku', 'quantity', 'price', 'unit'"),
        (b"", "has no column"),
        (HEADER.encode() + b"\n1,\xff\xfe,1,cup,1,1\n", "can't decode"),
    ],
)
def test_import__of_a_file_that_is_none__says_why_and_stores_nothing(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "orders.csv"
    path.write_bytes(content)

    with pytest.raises(UnreadableFile) as error:
        load(path)

    assert message in str(error.value)
    assert not Order.objects.exists()


def test_import__of_a_broken_archive__says_so(tmp_path: Path) -> None:
    whole = write(tmp_path, *(f"{n},2010-12-01T08:26,1,cup,1,2.55" for n in range(5000)), name="orders.csv.gz")
    whole.write_bytes(whole.read_bytes()[:-2000])

    with pytest.raises(UnreadableFile):
        load(whole)


def test_import__of_no_file__says_so(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="cannot be opened"):
        load(tmp_path / "nothing.csv")


def test_command__maps_columns_and_prints_a_summary(tmp_path: Path) -> None:
    path = write(
        tmp_path, "1;2010-12-01T08:26;cup;2;300;x", "1;2010-12-01T08:26;cup;1;0;x", header="No;At;Code;Pieces;Yen;Who"
    )
    columns = {"order-ref": "No", "time": "At", "sku": "Code", "quantity": "Pieces", "price": "Yen", "unit": ""}
    options = [f"--{name}-column={column}" for name, column in columns.items()]
    output = StringIO()

    call_command(
        "import_orders", str(path), *options, "--delimiter=;", "--currency=JPY", "--minor-digits=0", stdout=output
    )

    order = Order.objects.get()
    assert (order.revenue_minor, order.currency, order.unit) == (600, "JPY", None)
    assert output.getvalue().splitlines()[:2] == [
        "2 lines read; 1 orders: 1 accepted",
        "lines left out: 0 returned, 1 free, 0 unreadable",
    ]


def test_command__of_a_missing_column__exits_with_one(tmp_path: Path) -> None:
    path = write(tmp_path, "1,2010-12-01T08:26,1,cup,1,2.55")

    with pytest.raises(CommandError, match="InvoiceNo") as error:
        call_command("import_orders", str(path), "--format", "online-retail")

    assert error.value.returncode == 1
    assert ONLINE_RETAIL.currency == "GBP"


def test_command__every_order_refused__exits_with_one_and_names_why(tmp_path: Path) -> None:
    path = write(tmp_path, f"1,2010-12-01T08:26,1,{'x' * 200},1,2.55")
    told = StringIO()

    with pytest.raises(CommandError, match="Every order was refused"):
        call_command("import_orders", str(path), stdout=StringIO(), stderr=told)

    assert "slug must be a text" in told.getvalue()


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--delimiter", ";;", "';;' cannot separate columns"),
        ("--delimiter", "", "'' cannot separate columns"),
        ("--currency", "EURO", "--currency 'EURO' must be three capital letters"),
    ],
)
def test_command__impossible_option__is_refused_before_a_line_is_read(
    tmp_path: Path, option: str, value: str, said: str
) -> None:
    path = write(tmp_path, "1,2026-03-02T09:15:00Z,7,stoneware-cup,1,24.00")

    with pytest.raises(CommandError) as refused:
        call_command("import_orders", str(path), option, value)

    assert said in str(refused.value)
    assert not Order.objects.exists()
