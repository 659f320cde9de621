"""Can the data be trusted? What the card and the page say of visitors left out, joins, and gaps."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from catalog_experiments.admin.trust import trust_rows
from catalog_experiments.aggregation import aggregate_experiments
from catalog_experiments.analysis import DataQuality, Gap, Report, analyze
from catalog_experiments.models import Experiment, Exposure, PhaseOrigin, TelemetryGap
from tests.builders import NOON, make_running_experiment
from tests.catalog_experiments.buyers import add_buyers, add_visitors, change_phase, phase_of
from tests.catalog_experiments.test_unexposed import buy, make_ended

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


@pytest.mark.django_db
def test_page__one_variant_loses_its_exposures__says_so_in_words(client_as: ClientAs) -> None:
    experiment = make_ended()
    for key, met, unmet in (("control", 60, 5), ("test", 60, 45)):
        buy(key, met, is_met=True)
        buy(key, unmet)
        Exposure.objects.filter(unit__in=add_visitors(experiment, key, 12, at=NOON + HOUR)).update(is_mixed=True)
    buy(None, 7)
    change_phase(experiment, origin=PhaseOrigin.PUBLISHED)
    aggregate_experiments([experiment.pk], now=NOON + 12 * HOUR)

    page = " ".join(client_as("viewer").get(f"{HOME}/cup-saucer").content.decode().split())

    assert "57. 5 : 45 by the offer they bought, unlike the buyers who were met." in page
    assert "7 bought none: visitor ids are not stored, so nobody can say which variant was theirs" in page


@pytest.mark.django_db
def test_page__exposures_retired__says_that_it_is_not_known(client_as: ClientAs) -> None:
    change_phase(make_ended(), facts_retired_at=NOON, origin=PhaseOrigin.PUBLISHED)

    page = client_as("viewer").get(f"{HOME}/cup-saucer").content.decode()

    assert "Not known any more: the exposures of this phase have left" in page
