"""The path of the evidence as plain coordinates: time from left to right, all in per cent.

Evidence of a rate grows by factors, on a logarithmic height, up to its pause line. A drop has no factor: there the
upper end of its sequence falls on a plain height, and pauses below 0.
"""

import datetime as dt
import math
from collections.abc import Sequence
from dataclasses import dataclass

from catalog_experiments.enforcement import PathPoint

LEAST_DECADE, MOST_DECADE = -2, 12
_MOST_DAY_LABELS = 6
_MOST_STEPS = 5
_MINUS = "−"


@dataclass(frozen=True, slots=True)
class Tick:
    """A label on an axis, at `place` per cent from the left or the top."""

    label: str
    place: float


@dataclass(frozen=True, slots=True)
class EvidenceChart:
    """What the template draws; `points` is for a box of 100 by 100, `collecting` the width of the gray field.

    `levels` are the labels of the height, `line` is the pause line's height from the top, `last_x` and `last_y` the end
    of the path.
    """

    points: str
    levels: tuple[Tick, ...]
    days: tuple[Tick, ...]
    line: float
    last_x: float
    last_y: float
    collecting: float


Known = Sequence[tuple[dt.datetime, float]]
"""Heights over time, oldest first."""


def evidence_chart(path: Sequence[PathPoint], pause_line: float) -> EvidenceChart | None:
    """Draw the path of log E against the pause line 1/alpha; None with fewer than two points that have evidence."""
    known = [(point.at, point.log_e / math.log(10)) for point in path if point.log_e is not None]
    if len(known) < 2:
        return None
    line = math.log10(pause_line)
    scale = _Scale.of_decades(known, line)
    judged = next((point.at for point in path if point.verdict != "collecting"), known[-1][0])
    levels = [(_times(decade), decade) for decade in range(round(scale.low), round(scale.high) + 1)]
    return _drawn(scale, known, levels, line, collecting=scale.x(judged) if path[0].verdict == "collecting" else 0.0)


def drop_chart(path: Sequence[PathPoint], factor: float) -> EvidenceChart | None:
    """Draw how the upper end of a drop's sequence fell below 0; None with fewer than two points where it was known.

    Args:
        path: the records, oldest first.
        factor: what one of its units is on the axis: 100 points a fraction, 0.01 of a currency a minor unit.
    """
    known = [(point.at, point.limit * factor) for point in path if point.limit is not None]
    if len(known) < 2:
        return None
    step = _step(max(0.0, *(limit for _, limit in known)) - min(0.0, *(limit for _, limit in known)))
    scale = _Scale.of_steps(known, step)
    count = round((scale.high - scale.low) / step)
    levels = [(_plain(scale.low + number * step, step), scale.low + number * step) for number in range(count + 1)]
    return _drawn(scale, known, levels, 0.0)


def _drawn(
    scale: "_Scale", known: Known, levels: Sequence[tuple[str, float]], line: float, collecting: float = 0.0
) -> EvidenceChart:
    spots = [(scale.x(at), scale.y(height)) for at, height in known]
    return EvidenceChart(
        points=" ".join(f"{x},{y}" for x, y in spots),
        levels=tuple(Tick(label, scale.y(height)) for label, height in levels),
        days=tuple(Tick(f"{day:%-d %b}", scale.x(day)) for day in scale.midnights()) or scale.ends(),
        line=scale.y(line),
        last_x=spots[-1][0],
        last_y=spots[-1][1],
        collecting=collecting,
    )


@dataclass(frozen=True, slots=True)
class _Scale:
    start: dt.datetime
    end: dt.datetime
    low: float
    high: float

    @classmethod
    def of_decades(cls, known: Known, line: float) -> "_Scale":
        decades = [decade for _, decade in known]
        low = max(LEAST_DECADE, math.floor(round(min(decades), 6)))
        high = min(MOST_DECADE, math.ceil(round(max(*decades, line), 6)))
        return cls(known[0][0], known[-1][0], low, max(high, low + 1))

    @classmethod
    def of_steps(cls, known: Known, step: float) -> "_Scale":
        low = math.floor(min(0.0, *(height for _, height in known)) / step)
        high = math.ceil(max(0.0, *(height for _, height in known)) / step)
        return cls(known[0][0], known[-1][0], low * step, max(high, low + 1) * step)

    def x(self, at: dt.datetime) -> float:
        return round(100 * (at - self.start) / (self.end - self.start), 2)

    def y(self, height: float) -> float:
        within = min(max(height, self.low), self.high)
        return round(100 * (self.high - within) / (self.high - self.low), 2)

    def ends(self) -> tuple[Tick, ...]:
        return Tick(f"{self.start:%H:%M}", 0.0), Tick(f"{self.end:%H:%M}", 100.0)

    def midnights(self) -> list[dt.datetime]:
        first = self.start.replace(hour=0, minute=0, second=0, microsecond=0) + dt.timedelta(days=1)
        days = [first + dt.timedelta(days=number) for number in range((self.end - first).days + 1)]
        return days[:: max(1, math.ceil(len(days) / _MOST_DAY_LABELS))]


def _times(decade: int) -> str:
    return f"{10**decade:,}×" if decade >= 0 else f"{10.0**decade:g}×"


def _step(extent: float) -> float:
    """Return the least of 1, 2, 5, 10, 20 ... (or of their tenths) that divides the extent into few steps."""
    least = max(extent, 1e-6) / _MOST_STEPS
    power = 10.0 ** math.floor(math.log10(least))
    return next(power * digit for digit in (1, 2, 5, 10) if power * digit >= least * (1 - 1e-9))


def _plain(height: float, step: float) -> str:
    decimals = max(0, -math.floor(math.log10(step)))
    text = f"{abs(height):,.{decimals}f}"
    return text if round(height, decimals) == 0 else f"{_MINUS if height < 0 else '+'}{text}"
