"""Cron expressions as slots: the moments at which a job is owed, in UTC, whatever the zone's clocks do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import NamedTuple
from zoneinfo import ZoneInfo

from celery.schedules import ParseException, crontab

FIELDS = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week")
SEARCHED_DAYS = 4 * 366 + 1
"""How far back a slot is looked for: a leap day comes once in four years."""


class _Matching(NamedTuple):
    """The numbers that match, per field in cron's order; Sunday is 0."""

    minute: frozenset[int]
    hour: frozenset[int]
    day_of_month: frozenset[int]
    month_of_year: frozenset[int]
    day_of_week: frozenset[int]


class InvalidCron(ValueError):
    """A cron expression that cannot be understood, or that never comes."""


@dataclass(frozen=True)
class Cron:
    """Five cron fields read in a time zone; all fields must match, as Celery's beat has it.

    >>> Cron("*/30 * * * *").latest_slot(datetime(2025, 3, 1, 9, 59, tzinfo=UTC)).isoformat()
    '2025-03-01T09:30:00+00:00'

    Raises:
        InvalidCron: not five fields, or one of them makes no sense.
    """

    expression: str
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))

    def __post_init__(self) -> None:
        _ = self._parsed

    @property
    def fields(self) -> dict[str, str]:
        """The five fields by Celery's names."""
        return dict(zip(FIELDS, self.expression.split(), strict=True))

    @property
    def has_fixed_hour(self) -> bool:
        """Say whether it does not come in each hour of each day, so that a scheduler that was away may miss it."""
        parsed = self._parsed
        return (
            len(parsed.hour) < 24
            or len(parsed.day_of_month) < 31
            or len(parsed.month_of_year) < 12
            or len(parsed.day_of_week) < 7
        )

    @property
    def shortest_gap_seconds(self) -> int:
        """Least time between two slots of a job without fixed hour; a day for one with it."""
        if self.has_fixed_hour:
            return 86_400
        minutes = sorted(self._parsed.minute)
        wrapped = [*minutes, minutes[0] + 60]
        return 60 * min(later - earlier for earlier, later in zip(minutes, wrapped[1:], strict=True))

    def latest_slot(self, now: datetime) -> datetime:
        """Return the last slot at or before `now`, in UTC.

        Raises:
            InvalidCron: there was none in four years, as on the 31st of February.
        """
        slot = next(self.slots_before(now), None)
        if slot is None:
            raise InvalidCron(f"{self.expression!r} never comes")
        return slot

    def slots_before(self, now: datetime) -> Iterator[datetime]:
        """Yield the slots at or before `now`, newest first, four years back at most."""
        today = now.astimezone(self.zone).date()
        # A zone's day may begin after UTC's: tomorrow's slots are looked at too.
        for back in range(-1, SEARCHED_DAYS):
            yield from (slot for slot in self._slots_on(today - timedelta(days=back)) if slot <= now)

    def _slots_on(self, day: date) -> list[datetime]:
        parsed = self._parsed
        if (
            day.day not in parsed.day_of_month
            or day.month not in parsed.month_of_year
            or day.isoweekday() % 7 not in parsed.day_of_week
        ):
            return []
        # When clocks go back an hour comes twice: interval jobs run in both, a fixed hour only in the first.
        folds = (0,) if self.has_fixed_hour else (0, 1)
        slots = {
            datetime(day.year, day.month, day.day, hour, minute, tzinfo=self.zone, fold=fold).astimezone(UTC)
            for hour in parsed.hour
            for minute in parsed.minute
            for fold in folds
        }
        return sorted(slots, reverse=True)

    @cached_property
    def _parsed(self) -> _Matching:
        parts = self.expression.split()
        if len(parts) != len(FIELDS):
            raise InvalidCron(f"{self.expression!r} has {len(parts)} fields; cron has five")
        try:
            parsed = crontab(**dict(zip(FIELDS, parts, strict=True)))
        except (ParseException, ValueError, KeyError) as error:
            raise InvalidCron(f"{self.expression!r} is not a cron expression: {error}") from error
        return _Matching(*(frozenset(getattr(parsed, name)) for name in FIELDS))
