"""The shop's clock: people plan by it, tables keep UTC. Pure.

A day on which clocks change has an hour that does not exist, or one that comes twice; neither is guessed.
"""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo


class UnclearTime(ValueError):
    """The clock shows this time never, or twice; `code` is `nonexistent` or `ambiguous`, the message has the remedy."""

    def __init__(self, code: str, message: str) -> None:
        """Keep code and message."""
        super().__init__(message)
        self.code = code


def from_shop_clock(local: datetime, zone: ZoneInfo) -> datetime:
    """Return the moment, in UTC, at which the shop's clock shows `local` (naive).

    Raises:
        UnclearTime: the clock is turned forward past this time, or back over it.

    >>> from_shop_clock(datetime(2026, 7, 1, 14, 0), ZoneInfo("Europe/Berlin")).isoformat()
    '2026-07-01T12:00:00+00:00'
    """
    first, second = (local.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    day = f"{local:%-d %B %Y}"
    if first.utcoffset() == second.utcoffset():
        return first.astimezone(UTC)
    if first.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != local:
        later = first.astimezone(UTC).astimezone(zone)
        message = f"The clock in {zone.key} is turned forward on {day}: {local:%H:%M} does not exist that day."
        raise UnclearTime("nonexistent", f"{message} An hour later by the same count is {later:%H:%M}.")
    message = f"The clock in {zone.key} is turned back on {day}: {local:%H:%M} comes twice that day."
    readings = " or ".join(f"{moment.astimezone(UTC):%H:%M} UTC" for moment in (first, second))
    raise UnclearTime("ambiguous", f"{message} It is {readings}; choose a time outside that hour.")


def both_clocks(moment: datetime, zone: ZoneInfo) -> str:
    """Write a moment by the shop's clock and in UTC, with the day of UTC where it differs.

    >>> both_clocks(datetime(2026, 11, 24, 13, 0, tzinfo=UTC), ZoneInfo("Europe/Berlin"))
    'Tue 24 Nov 2026, 14:00 Europe/Berlin (13:00 UTC)'
    """
    local, universal = moment.astimezone(zone), moment.astimezone(UTC)
    text = f"{local:%a %-d %b %Y, %H:%M} {zone.key}"
    if zone.key == "UTC":
        return text
    other_day = "" if local.date() == universal.date() else f"{universal:%a %-d %b} "
    return f"{text} ({other_day}{universal:%H:%M} UTC)"


def short_shop_time(moment: datetime, zone: ZoneInfo) -> str:
    """Write a near moment by the shop's clock, without year.

    >>> short_shop_time(datetime(2026, 11, 24, 13, 0, tzinfo=UTC), ZoneInfo("Europe/Berlin"))
    'Tue 24 Nov 14:00'
    """
    return f"{moment.astimezone(zone):%a %-d %b %H:%M}"
