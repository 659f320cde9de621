"""The path of the evidence as plain coordinates: a logarithmic height, time from left to right, all in per cent."""

import datetime as dt
import math
from collections.abc import Sequence
from dataclasses import dataclass

from catalog_experiments.enforcement import PathPoint

LEAST_DECADE, MOST_DECADE = -2, 12
_MOST_DAY_LABELS = 6


@dataclass(frozen=True, slots=True)
class Tick:
    """A label on an axis, at `place` per cent from the left or the top."""

    label: str
    place: float


@dataclass(frozen=True, slots=True)
class EvidenceChart:
    """What the template draws; `points` is for a box of 100 by 100, `collecting` the width of the gray field.

    `line` is the pause line's height from the top, `last_x` and `last_y` the end of the path.
    """

    points: str
    decades: tuple[Tick, ...]
    days: tuple[Tick, ...]
    line: float
    last_x: float
    last_y: float
    collecting: float


def evidence_chart(path: Sequence[PathPoint], pause_line: float) -> EvidenceChart | None:
    """Draw the path of log E against the pause line 1/alpha; None with fewer than two points that have evidence."""
    known = [(point.at, point.log_e / math.log(10)) for point in path if point.log_e is not None]
    if len(known) < 2:
        return None
    scale = _Scale.over(known, math.log10(pause_line))
    spots = [(scale.x(at), scale.y(decade)) for at, decade in known]
    judged = next((point.at for point in path if point.verdict != "collecting"), known[-1][0])
    return EvidenceChart(
        points=" ".join(f"{x},{y}" for x, y in spots),
        decades=tuple(Tick(_times(decade), scale.y(decade)) for decade in range(scale.low, scale.high + 1)),
        days=tuple(Tick(f"{day:%-d %b}", scale.x(day)) for day in scale.midnights()) or scale.ends(),
        line=scale.y(math.log10(pause_line)),
        last_x=spots[-1][0],
        last_y=spots[-1][1],
        collecting=scale.x(judged) if path[0].verdict == "collecting" else 0.0,
    )


@dataclass(frozen=True, slots=True)
class _Scale:
    start: dt.datetime
    end: dt.datetime
    low: int
    high: int

    @classmethod
    def over(cls, known: Sequence[tuple[dt.datetime, float]], line: float) -> "_Scale":
        decades = [decade for _, decade in known]
        low = max(LEAST_DECADE, math.floor(round(min(decades), 6)))
        high = min(MOST_DECADE, math.ceil(round(max(*decades, line), 6)))
        return cls(known[0][0], known[-1][0], low, max(high, low + 1))

    def x(self, at: dt.datetime) -> float:
        return round(100 * (at - self.start) / (self.end - self.start), 2)

    def y(self, decade: float) -> float:
        within = min(max(decade, self.low), self.high)
        return round(100 * (self.high - within) / (self.high - self.low), 2)

    def ends(self) -> tuple[Tick, ...]:
        return Tick(f"{self.start:%H:%M}", 0.0), Tick(f"{self.end:%H:%M}", 100.0)

    def midnights(self) -> list[dt.datetime]:
        first = self.start.replace(hour=0, minute=0, second=0, microsecond=0) + dt.timedelta(days=1)
        days = [first + dt.timedelta(days=number) for number in range((self.end - first).days + 1)]
        return days[:: max(1, math.ceil(len(days) / _MOST_DAY_LABELS))]


def _times(decade: int) -> str:
    return f"{10**decade:,}×" if decade >= 0 else f"{10.0**decade:g}×"
