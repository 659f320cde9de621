"""What follows from a send: the waits, the horizon, and when to stop."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifications.outcomes import (
    Again,
    GivenUp,
    History,
    Outcome,
    OutcomeClass,
    Sent,
    backoff_seconds,
    next_step,
    rest_seconds,
    scrubbed,
)
from tests.notifications.conftest import NOW

FAR = NOW + timedelta(hours=72)


def step_after(
    outcome_class: OutcomeClass, *, attempts: int = 1, earlier: tuple[str, ...] = (), told: float | None = None
) -> object:
    outcome = Outcome(outcome_class, retry_after_seconds=told)
    return next_step(outcome, History(attempts, FAR, earlier), now=NOW, draw=lambda: 0.5)


@pytest.mark.parametrize(
    ("outcome_class", "expected"),
    [
        (OutcomeClass.OK, Sent()),
        (OutcomeClass.GONE, GivenUp()),
        (OutcomeClass.TRANSIENT, Again(NOW + timedelta(seconds=7.5))),
        (OutcomeClass.AMBIGUOUS, Again(NOW + timedelta(seconds=7.5))),
        (OutcomeClass.THROTTLED, Again(NOW + timedelta(seconds=7.5))),
        (OutcomeClass.BAD_MESSAGE, Again(NOW)),
        (OutcomeClass.UNKNOWN, Again(NOW + timedelta(minutes=15))),
    ],
)
def test_next_step__first_try__follows_the_table(outcome_class: OutcomeClass, expected: object) -> None:
    assert step_after(outcome_class) == expected


def test_next_step__told_to_wait__waits_so_long_and_at_most_an_hour() -> None:
    assert step_after(OutcomeClass.THROTTLED, told=90) == Again(NOW + timedelta(seconds=90))
    assert step_after(OutcomeClass.THROTTLED, told=86400) == Again(NOW + timedelta(hours=1))


def test_next_step__refused_twice_for_its_form__is_given_up() -> None:
    assert step_after(OutcomeClass.BAD_MESSAGE, earlier=("bad_message",)) == GivenUp()


def test_next_step__unknown_refusals__third_is_the_last() -> None:
    assert step_after(OutcomeClass.UNKNOWN, earlier=("unknown", "transient")) == Again(NOW + timedelta(minutes=15))
    assert step_after(OutcomeClass.UNKNOWN, earlier=("unknown", "unknown")) == GivenUp()


def test_next_step__next_try_beyond_the_horizon__is_given_up() -> None:
    history = History(20, NOW + timedelta(minutes=20), ())

    assert next_step(Outcome(OutcomeClass.TRANSIENT), history, now=NOW, draw=lambda: 0.0) == GivenUp()


@given(st.integers(1, 200), st.floats(0, 1, exclude_max=True))
def test_backoff_seconds__any_try__lies_in_the_upper_half_of_the_wait_and_never_past_an_hour(
    tries: int, chance: float
) -> None:
    wait = backoff_seconds(tries, lambda: chance)

    assert 5.0 <= wait <= 3600.0
    assert backoff_seconds(tries, lambda: 0.0) <= wait


def test_rest_seconds__fifth_failure__rests_and_probes_within_five_minutes() -> None:
    failure = Outcome(OutcomeClass.TRANSIENT, is_target_wide=True)

    rests = [rest_seconds(failure, failures, lambda: 0.5) for failures in (1, 4, 5, 9, 50)]

    assert rests == [0.0, 0.0, 225.0, 300.0, 300.0]


@given(st.text(max_size=500))
def test_scrubbed__any_words__are_short_and_printable(text: str) -> None:
    excerpt = scrubbed(text + "SECRET" + text, "SECRET")

    assert len(excerpt) <= 200
    assert "\n" not in excerpt
    assert "\x00" not in excerpt
