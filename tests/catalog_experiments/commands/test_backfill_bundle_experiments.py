"""`manage.py backfill_bundle_experiments`."""

from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from catalog_experiments.models import VariantMetric
from catalog_experiments.preflight import run_preflight
from catalog_experiments.scheduling import lease
from tests.builders import make_running_experiment

pytestmark = pytest.mark.django_db


def run(*arguments: str, **options: Any) -> str:
    output = StringIO()
    call_command("backfill_bundle_experiments", *arguments, stdout=output, **options)
    return output.getvalue()


def test_backfill__prints_what_it_did_and_repeats_without_change() -> None:
    make_running_experiment(now=timezone.now())

    first, second = run(), run("--lookback-days", "7", "--slug", "cup-saucer")

    assert first == "2 created, 0 changed, 0 unchanged over 30 days\n"
    assert second == "0 created, 0 changed, 2 unchanged over 7 days\n"


def test_backfill__dry_run__prints_the_difference_and_writes_nothing() -> None:
    make_running_experiment(now=timezone.now())

    output = run("--dry-run")

    assert "cup-saucer/control: created, 0/0 of 0 exposed" in output
    assert output.endswith("dry run, nothing written: 2 created, 0 changed, 0 unchanged over 30 days\n")
    assert not VariantMetric.objects.exists()


@pytest.mark.parametrize("days", ["0", "-3"])
def test_backfill__non_positive_lookback__exits_with_one(days: str) -> None:
    with pytest.raises(CommandError, match="from 1 to 3650") as error:
        run("--lookback-days", days)

    assert error.value.returncode == 1


def test_backfill__unknown_slug__exits_with_one() -> None:
    with pytest.raises(CommandError, match="no experiment 'nothing'"):
        run("--slug", "nothing")


@pytest.mark.parametrize(
    ("arguments", "outcome"), [([], "pass"), (["--dry-run"], "warn"), (["--slug", "cup-saucer"], "warn")]
)
def test_backfill__whole_run__satisfies_the_launch_checklist(arguments: list[str], outcome: str) -> None:
    experiment = make_running_experiment(now=timezone.now())

    run(*arguments)

    checks = {check.code: check for check in run_preflight(experiment, now=timezone.now())}
    assert checks["backfill"].outcome == outcome


def test_backfill__while_the_nightly_one_runs__says_so_and_writes_nothing() -> None:
    make_running_experiment(now=timezone.now())

    with lease("job:bundle-experiment-backfill"), pytest.raises(CommandError, match="already running"):
        run()

    assert not VariantMetric.objects.exists()
