"""Can the data be trusted? What the card and the page say of visitors left out, joins, and gaps."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

from django.test import Client
from django.utils import timezone

from catalog_experiments.admin.trust import trust_rows
from catalog_experiments.aggregation import aggregate_experiments
from catalog_experiments.analysis import DataQuality, Gap, Report, analyze
from catalog_experiments.models import Experiment, Exposure, TelemetryGap
from tests.builders import NOON, make_running_experiment
from tests.catalog_experiments.buyers import add_buyers, add_visitors, phase_of

HOME = "/admin/merchandising/bundles"
ClientAs = Callable[[str], Client]
HOUR = dt.timedelta(hours=1)


def make_with_bots() -> Experiment:
    """Make an experiment of the last hours with 8 shoppers, 3 bots, 2 staff and one visitor seen with two variants."""
    now = timezone.now()
    experiment = make_running_experiment(now=now - 5 * HOUR)
    at = now - 4 * HOUR
    add_buyers(experiment, "control", 4, 1, at=at)
    add_buyers(experiment, "test", 4, 1, at=at)
    for reason, count in (("bot", 3), ("staff", 2)):
        units = add_visitors(experiment, "test", count, at=at)
        Exposure.objects.filter(unit__in=units).update(excluded_as=reason)
    Exposure.objects.filter(unit__in=add_visitors(experiment, "control", 1, at=at)).update(is_mixed=True)
    aggregate_experiments([experiment.pk], now=now)
    return experiment


def rows_of(quality: DataQuality) -> dict[str, tuple[bool, str]]:
    """Return what is said of a quality, by label."""
    report = Report("e", "running", 1, NOON, NOON, (), None, "revenue", "EUR", None, quality=quality)
    return {row.label: (row.is_good, row.sentence) for row in trust_rows(report)}


def test_card__with_bots_and_staff__says_how_many_were_left_out(client_as: ClientAs) -> None:
    make_with_bots()

    page = client_as("viewer").get(HOME).content.decode()

    assert "14 exposures, 5 excluded: 3 bots, 2 staff" in page


def test_page__counts_units_by_what_became_of_them(client_as: ClientAs) -> None:
    experiment = make_with_bots()
    TelemetryGap.objects.create(
        phase=phase_of(experiment), cause="telemetry_silent", started_at=NOON, ended_at=NOON + HOUR
    )

    page = client_as("viewer").get(f"{HOME}/{experiment.slug}").content.decode()

    control, test = analyze(experiment, now=timezone.now()).variants
    assert (control.units.met, control.units.exposed, control.units.mixed) == (5, 4, 1)
    assert (test.units.met, test.units.exposed, test.units.bots, test.units.staff) == (9, 4, 3, 2)
    assert "Visitors met, counted and left out" in page
    assert "14 exposures, 5 excluded: 3 bots, 2 staff" in page
    assert "from 2 Mar 12:00 to 2 Mar 13:00 UTC" in page


def test_page__before_the_first_visitor__has_nothing_to_count(client_as: ClientAs) -> None:
    experiment = make_running_experiment()

    page = client_as("viewer").get(f"{HOME}/{experiment.slug}").content.decode()

    assert "Nothing to check before the first visitors." in page
    assert "Visitors met, counted and left out" not in page


def test_trust__as_it_should_be__is_said_in_numbers() -> None:
    rows = rows_of(DataQuality(joined_orders=400, orders=500, usual_join_rate=0.82, foreign_orders=12))

    assert rows["Orders that find their visitor"] == (
        True,
        "400 of 500 orders of the last day (80.00 %), usually 82.00 %",
    )
    assert rows["Other currencies"] == (True, "12 orders are in no money metric")


def test_trust__joins_lost_and_data_silent__is_marked() -> None:
    gaps = (Gap("telemetry_silent", NOON, None), Gap("heavy_revision", NOON, NOON + HOUR))
    quality: dict[str, Any] = {"joined_orders": 200, "orders": 500, "usual_join_rate": 0.8, "gaps": gaps}

    rows = rows_of(DataQuality(**quality, excluded_orders={"test": {"bot": 2, "staff": 1}}))

    assert not rows["Orders that find their visitor"][0]
    assert rows["No exposures"] == (False, "from 2 Mar 12:00 until now")
    assert rows["Heavy revision"] == (True, "from 2 Mar 12:00 to 2 Mar 13:00 UTC")
    assert rows["Orders left out by rule"] == (True, "test: 2 bots, 1 staff")
