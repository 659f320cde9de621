"""Blocks: openings on UTC hour boundaries, counts from there until now, and lossless merging of old hours."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from catalog_experiments.stats.blocks import (
    DAY_WEIGHT,
    HOUR_WEIGHT,
    Block,
    BlockClock,
    HourTally,
    block_series,
    merge_old_hours,
)

OPENED_AT = datetime(2025, 3, 1, 9, 30, tzinfo=UTC)
FIRST_HOUR_AT = datetime(2025, 3, 1, 9, tzinfo=UTC)


def tally(hours_after: int, n: int = 10, accepted: int = 1) -> HourTally:
    return HourTally(FIRST_HOUR_AT + timedelta(hours=hours_after), n, accepted)


tallies = st.lists(st.builds(tally, st.integers(0, 200), st.integers(5, 9), st.integers(0, 5)), max_size=60)
moments_after = st.integers(0, 210 * 60).map(lambda minutes: OPENED_AT + timedelta(minutes=minutes))


def test_clock__start_on_the_hour__first_boundary_is_strictly_later() -> None:
    opened_at = datetime(2025, 3, 1, 9, tzinfo=UTC)

    clock = BlockClock(opened_at, opened_at + timedelta(minutes=59))

    assert clock.hour_count == 0
    assert clock.first_boundary_at == datetime(2025, 3, 1, 10, tzinfo=UTC)


def test_clock__at_a_boundary__its_block_is_open() -> None:
    before = BlockClock(OPENED_AT, datetime(2025, 3, 1, 9, 59, 59, tzinfo=UTC))
    at = BlockClock(OPENED_AT, datetime(2025, 3, 1, 10, tzinfo=UTC))

    assert (before.hour_count, at.hour_count) == (0, 1)


def test_clock__after_24_boundaries__the_first_day_block_opens_with_the_24th() -> None:
    clock = BlockClock(OPENED_AT, datetime(2025, 3, 2, 9, tzinfo=UTC))

    assert (clock.hour_count, clock.day_count) == (24, 1)
    assert clock.opened_at_of("day", 1) == clock.opened_at_of("hour", 24) == datetime(2025, 3, 2, 9, tzinfo=UTC)


def test_clock__hour_blocks__are_kept_for_48_hours_inclusive() -> None:
    boundary = datetime(2025, 3, 1, 10, tzinfo=UTC)

    at_48 = BlockClock(OPENED_AT, boundary + timedelta(hours=48))
    after = BlockClock(OPENED_AT, boundary + timedelta(hours=48, seconds=1))

    assert (at_48.first_kept_hour, after.first_kept_hour) == (1, 2)


@given(tallies, moments_after)
def test_block_series__any_tallies__counts_what_came_since_the_opening(hours: list[HourTally], now: datetime) -> None:
    clock = BlockClock(OPENED_AT, now)

    series = block_series(clock, hours)

    for block in series.blocks:
        opened_at = FIRST_HOUR_AT if block.kind == "start" else clock.opened_at_of(block.kind, block.number)
        # Hours stamped after now count in every open block, also in the newest.
        counted = [each for each in hours if each.hour_at >= opened_at]
        assert (block.n, block.accepted) == (sum(each.n for each in counted), sum(each.accepted for each in counted))


@given(moments_after)
def test_block_series__any_time__weights_and_constant_sum_to_one_but_for_dropped_hours(now: datetime) -> None:
    clock = BlockClock(OPENED_AT, now)

    series = block_series(clock, [])

    dropped = sum(HOUR_WEIGHT / (k * (k + 1)) for k in range(1, clock.first_kept_hour))
    assert abs(sum(block.weight for block in series.blocks) + series.constant + dropped - 1) < 1e-12
    assert sum(block.kind == "day" for block in series.blocks) == clock.day_count


def test_block_series__no_block_open_yet__only_the_start_and_the_constant() -> None:
    series = block_series(BlockClock(OPENED_AT, OPENED_AT), [tally(0)])

    assert series.blocks == (Block("start", 0, 10, 1, 0.8),)
    assert series.constant == DAY_WEIGHT + HOUR_WEIGHT


@given(tallies, moments_after)
def test_merge_old_hours__any_tallies__leaves_the_series_as_it_was(hours: list[HourTally], now: datetime) -> None:
    clock = BlockClock(OPENED_AT, now)

    merged = merge_old_hours(clock, hours)

    assert block_series(clock, merged) == block_series(clock, hours)
    assert merge_old_hours(clock, merged) == merged


def test_merge_old_hours__sixty_days__keeps_few_rows() -> None:
    clock = BlockClock(OPENED_AT, OPENED_AT + timedelta(days=60))

    merged = merge_old_hours(clock, [tally(hour) for hour in range(60 * 24)])

    assert len(merged) <= 60 + 72


def test_mirrored__twice__is_the_same_series() -> None:
    series = block_series(BlockClock(OPENED_AT, OPENED_AT + timedelta(hours=3)), [tally(0), tally(2)])

    assert series.mirrored().start.accepted == 18
    assert series.mirrored().mirrored() == series
