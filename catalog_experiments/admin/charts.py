"""Server-rendered charts as plain coordinates; templates draw them as SVG, in per cent so that text keeps its size."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

LIFT_AXIS = 0.4
_SHAFT = 12.0
_EVIDENCE_DECADES = 2.0


@dataclass(frozen=True, slots=True)
class Forest:
    """One lift and its interval on the shared axis from -40 % to +40 %; positions in per cent of the width.

    `point` is None where only an interval is known or the lift is off the axis; `leaves_left` and `leaves_right` ask
    for an arrow. Of an interval that lies wholly off the axis (`is_off`) an arrow with a short shaft is left.
    """

    left: float
    right: float
    point: float | None
    leaves_left: bool
    leaves_right: bool
    is_off: bool


def forest(lift: float | None, interval: tuple[float, float] | None) -> Forest | None:
    """Place a lift (fraction) and its interval on the axis, or None without an interval."""
    if interval is None:
        return None
    low, high = interval
    return Forest(
        left=100 - _SHAFT if low > LIFT_AXIS else _lift_position(low),
        right=_SHAFT if high < -LIFT_AXIS else _lift_position(high),
        point=None if lift is None or abs(lift) > LIFT_AXIS else _lift_position(lift),
        leaves_left=low < -LIFT_AXIS,
        leaves_right=high > LIFT_AXIS,
        is_off=low > LIFT_AXIS or high < -LIFT_AXIS,
    )


def _lift_position(value: float) -> float:
    clamped = max(-LIFT_AXIS, min(LIFT_AXIS, value))
    return round(100 * (clamped + LIFT_AXIS) / (2 * LIFT_AXIS), 1)


@dataclass(frozen=True, slots=True)
class Meter:
    """Evidence on its way to the pause line: a logarithmic bar from 1 time to ten times the pause line.

    `fill` and `line` are per cent of the width.
    """

    fill: float
    line: float
    is_over: bool


def evidence_meter(log_evidence: float, pause_line: float) -> Meter:
    """Place the natural logarithm of the evidence against the pause line 1/alpha."""
    reach = math.log10(pause_line) + _EVIDENCE_DECADES / 2
    decades = log_evidence / math.log(10)
    fill = max(0.0, min(1.0, decades / reach))
    line = math.log10(pause_line) / reach
    return Meter(round(100 * fill, 1), round(100 * line, 1), log_evidence >= math.log(pause_line))


@dataclass(frozen=True, slots=True)
class Line:
    """One variant's polyline: `points` for SVG in a box of 100 by 40, and its last point."""

    variant_key: str
    is_control: bool
    points: str
    last_x: float
    last_y: float


@dataclass(frozen=True, slots=True)
class Sparkline:
    """Acceptance per day of each variant, with the limit's height or None; all in a box of 100 by 40."""

    lines: tuple[Line, ...]
    limit_y: float | None


def sparkline(
    series: Mapping[str, Sequence[float | None]], control_key: str | None, limit: float | None
) -> Sparkline | None:
    """Draw each variant's daily rates (fractions, None for a day without orders); None under two days."""
    known = [value for values in series.values() for value in values if value is not None]
    days = max((len(values) for values in series.values()), default=0)
    if days < 2 or not known:
        return None
    top = 1.1 * max([*known, limit or 0.0]) or 1.0
    lines = tuple(_line(key, key == control_key, values, top) for key, values in series.items())
    return Sparkline(
        lines=tuple(line for line in lines if line), limit_y=None if limit is None else _height(limit, top)
    )


def _line(key: str, is_control: bool, values: Sequence[float | None], top: float) -> Line | None:
    step = 100 / max(1, len(values) - 1)
    spots = [(round(i * step, 1), _height(value, top)) for i, value in enumerate(values) if value is not None]
    if not spots:
        return None
    return Line(key, is_control, " ".join(f"{x},{y}" for x, y in spots), *spots[-1])


def _height(value: float, top: float) -> float:
    return round(38 - 36 * value / top, 1)
