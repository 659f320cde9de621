"""`manage.py guardrail_backtest`."""

from __future__ import annotations

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from tests.builders import make_bundle, make_experiment
from tests.catalog_experiments.backtest.records import make_experiment_with_past

pytestmark = pytest.mark.django_db

QUICK = ("--resamples", "5", "--phase-days", "7")


def run(*arguments: str) -> str:
    output = StringIO()
    call_command("guardrail_backtest", *arguments, stdout=output)
    return output.getvalue()


def test_command__without_arguments__tries_every_experiment_under_its_own_guardrails() -> None:
    make_experiment_with_past(now=timezone.now())
    make_experiment(slug="tea", name="Tea for two", guardrail_config={})

    output = run(*QUICK)

    assert "Cup and saucer\n  Tried out on cup-saucer: least acceptance 8 %" in output
    assert "Of 1 past phase it would have paused 1; guardrails really paused 0." in output
    assert "- cup-saucer, phase 1: test (cup-saucer-test) would have been paused on" in output
    assert "False pauses: " in output
    assert "Tea for two\n  Tried out on tea: no bound" in output


def test_command__proposal__is_tried_out_instead_of_the_stored_one() -> None:
    make_experiment_with_past(now=timezone.now())

    output = run("cup-saucer", "--min-acceptance", "0.2", "--min-sample", "50", "--alpha", "0.01", *QUICK)

    assert "least acceptance 20 %; pause on evidence, alpha 0.01, no verdict before 50 orders a variant" in output
    assert "Guardrail stuck" in output


def test_command__json__is_the_same_as_data() -> None:
    make_experiment_with_past(now=timezone.now())

    [answer] = json.loads(run("cup-saucer", "--format", "json", *QUICK))

    assert answer["replays"][0]["would_pause"][0]["variant_key"] == "test"
    assert answer["false_alarms"]["resamples"] == 5


def test_command__bundle_without_orders__says_what_is_missing() -> None:
    make_bundle()

    output = run("--bundle", "cup-and-saucer", "--min-acceptance", "0.1")

    assert "There is no full hour with orders of the control's offer yet." in output


def test_command__empty_shop__says_so() -> None:
    assert run() == "There is no experiment yet; name a bundle with --bundle.\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nothing",), "no experiment 'nothing'"),
        (("--bundle", "nothing"), "no bundle 'nothing'"),
        (("cup-saucer", "--min-acceptance", "35"), "for 35 % write 0.35"),
        (("cup-saucer", "--consecutive", "2", "--min-acceptance", "0.1"), "persistent"),
        (("cup-saucer", "--resamples", "0"), "--resamples must lie between 1 and"),
        (("cup-saucer", "--false-pause-rate", "5"), "--false-pause-rate is a fraction"),
        (("cup-saucer", "--bundle", "cup"), "not both"),
    ],
)
def test_command__wrong_arguments__are_named(arguments: tuple[str, ...], message: str) -> None:
    make_experiment()

    with pytest.raises(CommandError, match=message):
        run(*arguments)


def test_command__one_of_many_has_broken_guardrails__the_others_are_still_tried(
    capsys: pytest.CaptureFixture[str],
) -> None:
    make_experiment(slug="broken", guardrail_config={"floor": 1})
    make_experiment(slug="sound", name="Sound")

    output = run(*QUICK)

    assert "Sound\n" in output
    assert "broken: floor is no guardrail" in capsys.readouterr().err
