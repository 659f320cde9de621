"""The guardrails' evidence: an independent numpy version, published numbers, validity and extremes."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import logsumexp

from catalog_experiments.stats.blocks import Block, BlockClock, BlockSeries, HourTally, block_series
from catalog_experiments.stats.mixture import log_grid_e, lower_limit, mixture_evidence, upper_limit

OPENED_AT = datetime(2025, 3, 1, tzinfo=UTC)
TINY = 1e-6
HUGE = 10**9


def series_of(hourly: list[tuple[int, int]], *, minutes_after: int = 0) -> BlockSeries:
    """Return the blocks after whole hours of (n, accepted), the phase having opened on the hour."""
    now = OPENED_AT + timedelta(hours=len(hourly), minutes=minutes_after)
    tallies = [HourTally(OPENED_AT + timedelta(hours=hour), n, hits) for hour, (n, hits) in enumerate(hourly)]
    return block_series(BlockClock(OPENED_AT, now), tallies)


def log_e_by_definition(hourly: list[tuple[int, int]], bound: float) -> float:
    """Return log E written down from the definition, block by block; the phase opened on the hour, now is one."""
    opened = len(hourly)
    n, hits = numpy.array(hourly).reshape(-1, 2).T
    since = [(int(n[hour:].sum()), int(hits[hour:].sum())) for hour in range(opened + 1)]

    def log_mean_ratio(fractions: NDArray[numpy.float64], counts: tuple[int, int]) -> float:
        all_n, all_hits = counts
        ratios = all_hits * numpy.log(fractions) + (all_n - all_hits) * numpy.log((1 - fractions * bound) / (1 - bound))
        return float(logsumexp(ratios)) - math.log(len(fractions))

    grid = 1 - 0.03 * (0.97 / 0.03) ** (numpy.arange(16) / 15)
    few = numpy.array([0.05, 0.2, 0.35, 0.5])
    terms = [math.log(0.8) + log_mean_ratio(grid, since[0])]
    for last, step in ((opened // 24, 24), (opened, 1)):
        kept = range(1, last + 1) if step == 24 else range(max(1, opened - 48), last + 1)
        terms += [math.log(0.1 / (k * (k + 1))) + log_mean_ratio(few, since[k * step]) for k in kept]
        terms.append(math.log(0.1 / (last + 1)))
    return float(logsumexp(terms))


hourly_counts = st.lists(
    st.integers(0, 40).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))), min_size=1, max_size=80
)
bounds = st.floats(0.005, 0.995)


@given(hourly_counts, bounds)
def test_mixture_evidence__any_counts__equals_the_definition(hourly: list[tuple[int, int]], bound: float) -> None:
    evidence = mixture_evidence(series_of(hourly), bound)

    assert evidence.log_e == pytest.approx(log_e_by_definition(hourly, bound), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(("alpha", "n"), [(0.05, 54), (0.005, 79)])
def test_mixture_evidence__nothing_accepted_at_ten_percent__crosses_at_the_published_n(alpha: float, n: int) -> None:
    counts = [block_series(BlockClock(OPENED_AT, OPENED_AT), [HourTally(OPENED_AT, n + more, 0)]) for more in (-1, 0)]

    crossed = [mixture_evidence(each, 0.1).log_e >= -math.log(alpha) for each in counts]

    assert crossed == [False, True]


def test_log_grid_e__cumulative_counts_alone__need_11598_more_orders() -> None:
    before, after = (log_grid_e(3000, 20_000 + more, 0.1) for more in (11_597, 11_598))

    assert before < math.log(20) <= after


def test_mixture_evidence__fall_to_zero_after_20000_orders__needs_about_251() -> None:
    needed = [orders_until_crossed(minutes) for minutes in range(0, 60, 5)]

    assert 230 <= sum(needed) / len(needed) <= 270
    assert max(needed) <= 350


def orders_until_crossed(minutes_into_the_hour: int) -> int:
    """Return how many refused orders it takes after 20,000 at 15 %, at 20 per 5 minutes from some minute on."""
    healthy = [(240, 36)] * 83 + [(4 * minutes_into_the_hour, 0)]
    for looks in range(1, 60):
        minutes = minutes_into_the_hour + 5 * looks
        hours = healthy[:83] + [(240, 0)] * (minutes // 60) + [(4 * (minutes % 60), 0)]
        hours[83] = (hours[83][0], round(0.15 * 4 * minutes_into_the_hour))
        series = block_series(
            BlockClock(OPENED_AT, OPENED_AT + timedelta(hours=83, minutes=minutes)),
            [HourTally(OPENED_AT + timedelta(hours=hour), n, hits) for hour, (n, hits) in enumerate(hours)],
        )
        if mixture_evidence(series, 0.1).log_e >= math.log(20):
            return 20 * looks
    raise AssertionError("never crossed")


def test_mixture_evidence__dominating_block__is_the_hour_of_the_fall() -> None:
    evidence = mixture_evidence(series_of([(240, 36)] * 30 + [(240, 0)] * 2), 0.1)

    assert (evidence.dominating.kind, evidence.dominating.number) == ("hour", 30)
    assert (evidence.dominating.n, evidence.dominating.accepted) == (480, 0)


def test_mixture_evidence__equal_terms__the_earliest_block_dominates() -> None:
    blocks = (Block("start", 0, 0, 0, 0.05), Block("day", 1, 0, 0, 0.05), Block("hour", 20, 0, 0, 0.05))

    evidence = mixture_evidence(BlockSeries(blocks, 0.85), 0.1)
    later = mixture_evidence(BlockSeries((blocks[0]._replace(weight=0.01), *blocks[1:]), 0.89), 0.1)

    assert evidence.dominating.kind == "start"
    assert (later.dominating.kind, later.dominating.number) == ("hour", 20)


@given(hourly_counts, st.floats(0.001, 0.2))
def test_upper_limit__any_counts__is_where_the_evidence_crosses(hourly: list[tuple[int, int]], alpha: float) -> None:
    series = series_of(hourly)

    limit = upper_limit(series, alpha)

    wanted = -math.log(alpha)
    if limit > 1e-7:
        assert mixture_evidence(series, limit * (1 - 1e-6)).log_e <= wanted
    if limit < 1 - 1e-7:
        assert mixture_evidence(series, limit + (1 - limit) * 1e-6).log_e >= wanted


@given(hourly_counts)
def test_lower_limit__any_counts__mirrors_the_upper(hourly: list[tuple[int, int]]) -> None:
    series = series_of(hourly)

    lower, upper = lower_limit(series, 0.05), upper_limit(series, 0.05)

    assert lower == 1 - upper_limit(series.mirrored(), 0.05)
    assert upper_limit(series, 0.005) >= upper
    assert 0 <= lower <= 1


@pytest.mark.parametrize("accepted", [0, 1, HUGE // 10, HUGE - 1, HUGE])
@pytest.mark.parametrize("bound", [TINY, 0.1, 0.5, 1 - TINY])
def test_mixture_evidence__a_billion_outcomes__stays_finite(accepted: int, bound: float) -> None:
    series = BlockSeries((Block("start", 0, HUGE, accepted, 0.8), Block("hour", 1, HUGE, accepted, 0.05)), 0.15)

    evidence = [mixture_evidence(series, bound).log_e, mixture_evidence(series.mirrored(), bound).log_e]

    assert all(map(math.isfinite, evidence))
    assert 0 <= lower_limit(series, 0.05) <= accepted / HUGE <= upper_limit(series, 0.05) <= 1


@pytest.mark.parametrize("bound", [0, 1, -0.1, 1.5, math.nan])
def test_mixture_evidence__bound_of_zero_or_one__raises(bound: float) -> None:
    with pytest.raises(ValueError, match="strictly between 0 and 1"):
        mixture_evidence(series_of([(10, 1)]), bound)


@settings(max_examples=30)
@given(st.integers(0, 60), bounds)
def test_log_grid_e__one_more_outcome__is_a_fair_bet_on_the_bound(n: int, bound: float) -> None:
    accepted = n // 3

    after = bound * math.exp(log_grid_e(accepted + 1, n + 1, bound))
    after += (1 - bound) * math.exp(log_grid_e(accepted, n + 1, bound))

    assert after == pytest.approx(math.exp(log_grid_e(accepted, n, bound)), rel=1e-9)


def test_mixture_evidence__rate_exactly_on_the_bound__seldom_alarms() -> None:
    generator = numpy.random.default_rng(20_250_510)
    runs, hours = 300, 72

    accepted = generator.binomial(240, 0.1, (runs, hours)).tolist()
    alarms = sum(is_ever_crossed([(240, hits) for hits in run]) for run in accepted)

    assert alarms <= 0.06 * runs


def is_ever_crossed(hourly: list[tuple[int, int]]) -> bool:
    looks = (series_of(hourly[:hour]) for hour in range(2, len(hourly) + 1))
    return any(mixture_evidence(series, 0.1).log_e >= math.log(20) for series in looks)
