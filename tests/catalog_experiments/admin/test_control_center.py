"""The landing page and an experiment's page: what they say, to whom, and at what cost."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from catalog_experiments import lifecycle
from catalog_experiments.aggregation import aggregate_experiments
from catalog_experiments.enforcement import evaluate
from catalog_experiments.models import Experiment, Exposure, GuardrailTally, VariantMetric
from catalog_experiments.seeding import seed_qa_experiment
from tests.builders import NOON, make_experiment, make_running_experiment
from tests.catalog_experiments.buyers import add_buyers, add_visitors, phase_of

HOME = "/admin/merchandising/bundles"
ClientAs = Callable[[str], Client]


def count_orders(
    experiment: Experiment, variant_key: str, *, n: int, accepted: int, hour_at: dt.datetime = NOON
) -> None:
    """Write one tally and the metric row that a card reads, for a variant of a running experiment."""
    phase = phase_of(experiment)
    GuardrailTally.objects.create(
        experiment=experiment,
        phase=phase,
        variant_key=variant_key,
        outcome_hour_at=hour_at,
        n=n,
        accepted=accepted,
        gross_n=n,
        gross_accepted=accepted,
    )
    VariantMetric.objects.create(
        experiment=experiment,
        variant=experiment.variants.get(key=variant_key),
        phase=phase,
        window_start=hour_at.date(),
        lookback_days=1,
        acceptance_rate=round(accepted / n, 4),
        acceptance_count=accepted,
        sample_size=n,
        exposed_count=2 * n,
        computed_at=hour_at,
        watermark_at=hour_at,
    )


@pytest.mark.parametrize("address", [HOME, f"{HOME}/"])
def test_landing__with_and_without_slash__opens(client_as: ClientAs, address: str) -> None:
    answer = client_as("viewer").get(address)

    assert answer.status_code == 200


def test_landing__not_logged_in__asks_to_log_in(client: Client, db: None) -> None:
    answer = client.get(HOME)

    assert answer.status_code == 302
    assert "/admin/login/" in answer["Location"]


def test_landing__staff_without_role__is_forbidden(client: Client, db: None) -> None:
    client.force_login(User.objects.create_user("nobody", is_staff=True))

    assert client.get(HOME).status_code == 403


def test_landing__running_experiment__shows_counts_rates_and_state(client_as: ClientAs) -> None:
    experiment = make_running_experiment(name="Cup with saucer")
    count_orders(experiment, "control", n=1_228, accepted=138)
    count_orders(experiment, "test", n=1_240, accepted=91)

    page = client_as("viewer").get(HOME).content.decode()

    assert "Cup with saucer" in page
    assert "11.24 %" in page
    assert "7.34 %" in page
    assert "Collecting" in page, "no evaluation yet"


def test_landing__unknown_view__is_not_found(client_as: ClientAs) -> None:
    assert client_as("viewer").get(f"{HOME}?view=nonsense").status_code == 404


def test_landing__search__keeps_what_matches(client_as: ClientAs) -> None:
    make_running_experiment(slug="cups", name="Cups")
    make_running_experiment(slug="pots", name="Pots")

    page = client_as("viewer").get(f"{HOME}?q=pots").content.decode()

    assert 'data-experiment="pots"' in page
    assert 'data-experiment="cups"' not in page


def test_landing__search_without_a_match__offers_a_wider_one(client_as: ClientAs) -> None:
    make_experiment(slug="kettle")

    page = client_as("viewer").get(f"{HOME}?view=completed&q=kettle").content.decode()

    assert "Nothing matches “kettle”" in page
    assert '<a href="?view=all&amp;q=kettle">Search all experiments</a>' in page
    assert '<a href="?view=completed">clear the search</a>' in page


@pytest.mark.parametrize(
    ("query", "note"),
    [
        ("", "all quiet"),
        ("?view=all", "all quiet"),
        ("?view=drafts", "among those below"),
        ("?q=x", "among those below"),
    ],
)
def test_landing__only_some_are_shown__says_that_attention_is_counted_among_them(
    client_as: ClientAs, query: str, note: str
) -> None:
    figure = client_as("viewer").get(HOME + query).context["figures"][0]

    assert (figure.label, figure.value, figure.note) == ("Needs attention", "0", note)


def test_landing__name_with_markup__is_escaped(client_as: ClientAs) -> None:
    make_running_experiment(name="<script>alert(1)</script>")

    page = client_as("viewer").get(HOME).content.decode()

    assert "<script>alert(1)" not in page


def test_landing__ten_times_the_experiments__same_number_of_queries(client_as: ClientAs) -> None:
    client = client_as("viewer")
    make_running_experiment(slug="first")
    with CaptureQueriesContext(
        connection,
    ) as few:
        client.get(HOME)
    for number in range(10):
        count_orders(make_running_experiment(slug=f"more-{number}"), "test", n=100, accepted=10)

    with CaptureQueriesContext(connection) as many:
        client.get(HOME)

    assert len(many) <= len(few) + 1
    assert len(many) < 25


def test_detail__running_experiment__shows_variants_and_timeline(client_as: ClientAs) -> None:
    experiment = make_running_experiment()
    count_orders(experiment, "control", n=500, accepted=100)
    count_orders(experiment, "test", n=500, accepted=120)

    page = client_as("viewer").get(f"{HOME}/{experiment.slug}").content.decode()

    assert "20.00 %" in page
    assert "24.00 %" in page
    assert "Timeline" in page


def test_detail__unknown_slug__is_not_found(client_as: ClientAs) -> None:
    assert client_as("viewer").get(f"{HOME}/no-such").status_code == 404


def test_detail__draft__points_to_the_checklist(client_as: ClientAs) -> None:
    make_experiment()

    page = client_as("merchandiser").get(f"{HOME}/cup-saucer").content.decode()

    assert f"{HOME}/cup-saucer/preflight" in page
    assert "Publish overrides" in page


def test_preflight__draft__lists_the_checks(client_as: ClientAs) -> None:
    make_experiment()

    page = client_as("viewer").get(f"{HOME}/cup-saucer/preflight").content.decode()

    assert 'data-outcome="pass"' in page
    assert "Publish overrides" not in page, "a viewer may not publish"


def test_evaluate__draft__says_collecting(client_as: ClientAs) -> None:
    make_experiment()

    answer = client_as("viewer").post(f"{HOME}/cup-saucer/evaluate")

    assert answer.status_code == 200
    assert "Collecting" in answer.content.decode()


def test_evaluate__by_get__is_refused(client_as: ClientAs) -> None:
    make_experiment()

    assert client_as("viewer").get(f"{HOME}/cup-saucer/evaluate").status_code == 405


def test_landing__seeded_experiment__shows_the_badges_of_its_seeded_counts(client_as: ClientAs) -> None:
    seed_qa_experiment("qa-catalog", now=timezone.now())

    page = client_as("viewer").get(HOME).content.decode()

    card = page.partition('data-experiment="qa-catalog"')[2]
    assert "Watch" in card
    assert "95 of 1,000 orders took the bundle (9.50 %)" in card
    assert "Awaiting telemetry" not in card


def test_detail__completed__says_how_long_it_ran(client_as: ClientAs) -> None:
    experiment = make_running_experiment()
    lifecycle.complete(experiment.pk, actor="user:mara", now=NOON + dt.timedelta(days=30))

    page = client_as("viewer").get(f"{HOME}/cup-saucer").content.decode()

    assert f"ran from {NOON:%-d %B} to {NOON + dt.timedelta(days=30):%-d %B}" in page


def test_landing__paused_by_a_person__says_on_which_day_and_why(client_as: ClientAs) -> None:
    experiment = make_running_experiment()
    lifecycle.pause(experiment.pk, actor="user:mara", now=NOON, reason="The price is wrong.")

    page = client_as("viewer").get(HOME).content.decode()

    assert f"Paused on {NOON:%-d %B at %H:%M:%S} UTC: The price is wrong. Shoppers see the control." in page
    assert "<h2>As planned</h2>" in page


def test_detail__outage__is_called_so_and_its_alert_stands_in_the_timeline(client_as: ClientAs) -> None:
    experiment = make_running_experiment()
    for key, accepted in (("control", 20), ("test", 0)):
        add_buyers(experiment, key, 100, accepted, at=NOON + dt.timedelta(minutes=10))
    evaluate(experiment.pk, now=NOON + dt.timedelta(hours=5))

    page = client_as("viewer").get(f"{HOME}/cup-saucer").content.decode()

    assert "Guardrails: outage" in page
    assert "Alert: cup-saucer was paused: test missed its guardrail by far" in page


def test_detail__pause_before_any_window_is_over__says_why_nothing_is_told_per_visitor(client_as: ClientAs) -> None:
    experiment = make_running_experiment()
    for key, accepted in (("control", 20), ("test", 0)):
        add_buyers(experiment, key, 100, accepted, at=NOON + dt.timedelta(minutes=10))
    evaluate(experiment.pk, now=NOON + dt.timedelta(hours=5))
    aggregate_experiments([experiment.pk], now=NOON + dt.timedelta(hours=6))

    page = client_as("viewer").get(f"{HOME}/cup-saucer").content.decode()

    assert "nobody's window of 7 days was over before the pause" in page


def test_landing__hold__says_in_words_why_the_data_cannot_be_trusted(client_as: ClientAs) -> None:
    experiment = make_running_experiment()
    units = add_visitors(experiment, "control", 200, at=NOON + dt.timedelta(minutes=10))
    Exposure.objects.filter(unit__in=units[:20]).update(is_fault=True)
    aggregate_experiments([experiment.pk], now=NOON + dt.timedelta(hours=1))
    evaluate(experiment.pk, now=NOON + dt.timedelta(hours=1))

    page = client_as("viewer").get(HOME).content.decode()

    assert "On hold" in page
    assert "The data cannot be trusted:" in page
    assert "more than 1 % of exposures claim another variant than the one assigned" in page
