"""The chart of a backtest: which share of healthy phases each threshold would pause, in a box of 100 by 40."""

from collections.abc import Iterator
from dataclasses import dataclass

from catalog_experiments.backtest import Backtest, Step, Suggestion
from catalog_experiments.backtest.wording import BOUND_NAMES, percent_text

_LEAST_TOP = 0.05


@dataclass(frozen=True, slots=True)
class LadderChart:
    """One bound's curve from the mildest threshold to the strictest that the control surely reaches.

    `points` is the polyline, `wanted_y` the height of the wanted share, `proposed_x` and `suggested_x` the places of
    the proposed and the suggested threshold, None where they are not on the ladder; `top` is the share at the upper
    edge, `steps` the table twin.
    """

    name: str
    points: str
    wanted_y: float
    proposed_x: float | None
    suggested_x: float | None
    mildest: str
    strictest: str
    top: str
    steps: tuple[Step, ...]


def ladder_charts(backtest: Backtest) -> list[LadderChart]:
    """Draw one chart per bound with a suggestion, or without one for want of a mild enough threshold."""
    return list(_charts(backtest))


def _charts(backtest: Backtest) -> Iterator[LadderChart]:
    for suggestion in backtest.suggestions:
        if len(suggestion.ladder) > 1:
            yield _chart(suggestion, getattr(backtest.proposal.config, suggestion.bound))


def _chart(suggestion: Suggestion, proposed: float | None) -> LadderChart:
    steps = suggestion.ladder
    top = min(1.0, 1.1 * max(_LEAST_TOP, suggestion.wanted_rate, *(step.rate for step in steps)))
    spots = ((_across(steps, step.threshold), _height(step.rate, top)) for step in steps)
    return LadderChart(
        name=BOUND_NAMES[suggestion.bound],
        points=" ".join(f"{x},{y}" for x, y in spots),
        wanted_y=_height(suggestion.wanted_rate, top),
        proposed_x=_across(steps, proposed),
        suggested_x=_across(steps, suggestion.threshold),
        mildest=percent_text(steps[0].threshold),
        strictest=percent_text(steps[-1].threshold),
        top=percent_text(round(top, 3)),
        steps=steps,
    )


def _across(steps: tuple[Step, ...], threshold: float | None) -> float | None:
    if threshold is None:
        return None
    first, last = steps[0].threshold, steps[-1].threshold
    place = 100 * (threshold - first) / (last - first)
    return round(place, 1) if 0 <= place <= 100 else None


def _height(rate: float, top: float) -> float:
    return round(38 - 36 * rate / top, 1)
