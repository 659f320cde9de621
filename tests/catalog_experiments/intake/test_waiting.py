"""Copying while other work goes on: done by the time, never instead of it, and never half."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import DataError, IntegrityError, connection, transaction

from catalog_experiments.intake import columns
from catalog_experiments.intake.columns import UNFLUSHED

pytestmark = pytest.mark.django_db(transaction=True)

SLOW = """
CREATE TABLE slow (amount bigint CHECK (amount >= 0));
CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.1); RETURN NEW; END';
CREATE TRIGGER dawdle BEFORE INSERT ON slow FOR EACH STATEMENT EXECUTE FUNCTION dawdle()
"""


@pytest.fixture(autouse=True)
def _slow_table() -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute(SLOW)
    yield
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE slow; DROP FUNCTION dawdle")


def stored() -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT amount FROM slow ORDER BY amount")
        return [amount for (amount,) in cursor.fetchall()]


def test_copy__server_takes_its_time__work_goes_on_meanwhile() -> None:
    work = iter([None] * 5)

    columns.copy("slow (amount)", [columns.wholes([1, 2, 3])], meanwhile=work)

    assert stored() == [1, 2, 3]
    assert list(work) == []


def test_fetch__server_takes_its_time__work_goes_on_meanwhile() -> None:
    work = iter([None] * 5)

    rows = columns.fetch("SELECT 7 FROM pg_sleep(%s)", [0.1], meanwhile=work)

    assert rows == [(7,)]
    assert list(work) == []


def test_copy__more_than_fits_between_both__all_rows_stored() -> None:
    amounts = range(UNFLUSHED // 7)  # 14 bytes each, so more than may lie ready on either side

    columns.copy("slow (amount)", [columns.wholes(amounts)], meanwhile=iter(()))

    assert stored() == list(amounts)


def test_copy__row_the_table_refuses__error_told_and_connection_as_before() -> None:
    with pytest.raises(IntegrityError, match="slow_amount_check"), transaction.atomic():
        columns.copy("slow (amount)", [columns.wholes([1, -1])], meanwhile=iter([None] * 3))

    assert stored() == []


def test_copy__work_fails__nothing_stored_and_next_statement_runs() -> None:
    def failing() -> Iterator[None]:
        yield
        raise DataError("the work failed")

    with pytest.raises(DataError, match="the work failed"), transaction.atomic():
        columns.copy("slow (amount)", [columns.wholes([1, 2, 3])], meanwhile=failing())

    assert stored() == []
