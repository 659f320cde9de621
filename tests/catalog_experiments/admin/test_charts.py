"""Charts as coordinates: what leaves an axis is shown as leaving it."""

from __future__ import annotations

import datetime as dt

import pytest

from catalog_experiments.admin.charts import forest
from catalog_experiments.admin.evidence_chart import evidence_chart
from catalog_experiments.enforcement import PathPoint
from tests.builders import NOON


def test_forest__lift_beyond_the_axis__is_an_arrow_and_no_point() -> None:
    shown = forest(-0.6, (-0.78, -0.38))

    assert shown is not None
    assert (shown.leaves_left, shown.leaves_right) == (True, False)
    assert (shown.left, shown.right, shown.point) == (0.0, 2.5, None)


@pytest.mark.parametrize(
    ("interval", "place"), [((-0.78, -0.42), (0.0, 12.0, True, False)), ((0.5, 0.9), (88.0, 100.0, False, True))]
)
def test_forest__interval_wholly_off_the_axis__is_an_arrow_with_a_shaft(
    interval: tuple[float, float], place: tuple[float, float, bool, bool]
) -> None:
    shown = forest(sum(interval) / 2, interval)

    assert shown is not None
    assert (shown.left, shown.right, shown.leaves_left, shown.leaves_right) == place
    assert (shown.point, shown.is_off) == (None, True)


def test_forest__lift_on_the_axis__has_its_point() -> None:
    shown = forest(0.1, (-0.1, 0.3))

    assert shown is not None
    assert shown.point == 62.5
    assert (shown.leaves_left, shown.leaves_right) == (False, False)


def test_evidence_chart__within_a_day__names_the_hours_at_its_ends() -> None:
    path = [
        PathPoint(at=NOON + dt.timedelta(hours=hours), sample=100, accepted=9, log_e=hours * 1.5, verdict="collecting")
        for hours in range(3)
    ]

    chart = evidence_chart(path, 20.0)

    assert chart is not None
    assert [(tick.label, tick.place) for tick in chart.days] == [("12:00", 0.0), ("14:00", 100.0)]
