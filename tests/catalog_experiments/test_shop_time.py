"""The shop's clock on ordinary days and on the two days a year on which clocks are turned."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog_experiments.shop_time import UnclearTime, both_clocks, from_shop_clock

BERLIN, NEW_YORK, UTC = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York"), ZoneInfo("UTC")


def clock(text: str) -> dt.datetime:
    """Return what a clock shows, without a zone."""
    return dt.datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("zone", "local", "universal"),
    [
        (BERLIN, clock("2026-03-29 01:59"), clock("2026-03-29 00:59")),
        (BERLIN, clock("2026-03-29 03:00"), clock("2026-03-29 01:00")),
        (BERLIN, clock("2026-10-25 01:59"), clock("2026-10-24 23:59")),
        (BERLIN, clock("2026-10-25 03:00"), clock("2026-10-25 02:00")),
        (NEW_YORK, clock("2026-03-08 01:59"), clock("2026-03-08 06:59")),
        (NEW_YORK, clock("2026-03-08 03:00"), clock("2026-03-08 07:00")),
        (NEW_YORK, clock("2026-11-01 02:00"), clock("2026-11-01 07:00")),
        (UTC, clock("2026-03-29 02:30"), clock("2026-03-29 02:30")),
    ],
)
def test_from_shop_clock__around_a_turn__is_the_one_moment(
    zone: ZoneInfo, local: dt.datetime, universal: dt.datetime
) -> None:
    assert from_shop_clock(local, zone) == universal.replace(tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("zone", "local", "code", "remedy"),
    [
        (BERLIN, clock("2026-03-29 02:30"), "nonexistent", "03:30"),
        (NEW_YORK, clock("2026-03-08 02:30"), "nonexistent", "03:30"),
        (BERLIN, clock("2026-10-25 02:30"), "ambiguous", "00:30 UTC or 01:30 UTC"),
        (NEW_YORK, clock("2026-11-01 01:30"), "ambiguous", "05:30 UTC or 06:30 UTC"),
    ],
)
def test_from_shop_clock__a_time_that_comes_never_or_twice__is_refused_with_the_remedy(
    zone: ZoneInfo, local: dt.datetime, code: str, remedy: str
) -> None:
    with pytest.raises(UnclearTime) as refused:
        from_shop_clock(local, zone)

    assert refused.value.code == code
    assert remedy in str(refused.value)
    assert zone.key in str(refused.value)


@given(
    st.datetimes(clock("2020-01-01 00:00"), clock("2035-01-01 00:00")),
    st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC"]),
)
def test_from_shop_clock__whatever_it_accepts__reads_the_same_on_the_clock(local: dt.datetime, name: str) -> None:
    zone = ZoneInfo(name)

    try:
        moment = from_shop_clock(local, zone)
    except UnclearTime:
        before, after = (local.replace(tzinfo=zone, fold=fold).utcoffset() for fold in (0, 1))
        assert before != after
    else:
        assert moment.astimezone(zone).replace(tzinfo=None, fold=0) == local
        assert moment.tzinfo is dt.UTC


def test_both_clocks__another_day_in_utc__names_that_day() -> None:
    moment = dt.datetime(2026, 3, 3, 2, 0, tzinfo=dt.UTC)

    assert both_clocks(moment, NEW_YORK) == "Mon 2 Mar 2026, 21:00 America/New_York (Tue 3 Mar 02:00 UTC)"
    assert both_clocks(moment, UTC) == "Tue 3 Mar 2026, 02:00 UTC"
