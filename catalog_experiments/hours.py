"""The whole hour: the grain in which facts are counted and verdicts looked at."""

from datetime import datetime


def hour_of(moment: datetime) -> datetime:
    """Return the start of the hour.

    >>> from datetime import UTC
    >>> hour_of(datetime(2026, 3, 2, 12, 40, 7, tzinfo=UTC)).isoformat()
    '2026-03-02T12:00:00+00:00'
    """
    return moment.replace(minute=0, second=0, microsecond=0)
