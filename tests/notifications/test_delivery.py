"""Delivery against real receivers that fail in every way: nothing is lost, nothing is sent twice without need."""

from __future__ import annotations

import json
import threading
import time
from datetime import datetime, timedelta

import pytest
from django.db import DatabaseError, connection
from django.test.utils import override_settings

from notifications import channels, delivery, sending
from notifications.delivery import LEASE, DeliveryResult, cancel, claim, deliver_due, send_again
from notifications.models import Alert, Delivery, DeliveryAttempt, TargetHealth
from notifications.outbox import enqueue
from smplat.local_environment import free_port
from tests.notifications.conftest import NOW, RECIPIENTS, make_draft
from tests.sinks import HttpSink, SmtpSink, answer, hang, reset

pytestmark = pytest.mark.django_db


def middle() -> float:
    """Draw no luck at all, so that every wait is known."""
    return 0.5


def round_at(now: datetime, **options: int) -> DeliveryResult:
    return deliver_due(now=now, draw=middle, **options)


def only() -> Delivery:
    return Delivery.objects.get()


def enqueue_many(count: int) -> None:
    for number in range(count):
        enqueue(make_draft(dedupe_key=f"pause:{number}", subject=f"Alert {number}"), now=NOW)


def seconds_until(moment: datetime, since: datetime = NOW) -> float:
    return (moment - since).total_seconds()


def test_deliver_due__all_well__every_target_gets_it_once(slack: HttpSink, mail: SmtpSink, webhook: HttpSink) -> None:
    enqueue(make_draft(), now=NOW)

    first, second = round_at(NOW), round_at(NOW + timedelta(minutes=5))

    assert (first, second) == (DeliveryResult(sent=5), DeliveryResult())
    assert (len(slack.received), len(webhook.received), sorted(mail.recipients)) == (1, 1, sorted(RECIPIENTS))
    assert not Delivery.objects.exclude(state="sent").exists()


def test_deliver_due__slack_hangs__mail_does_not_wait(
    slack: HttpSink, mail: SmtpSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("notifications.channels.outbound.READ_SECONDS", 1.5)
    slack.default = hang
    enqueue(make_draft(), now=NOW)
    thread_began = time.monotonic()

    result = round_at(NOW)

    sent = Delivery.objects.filter(channel="email").values_list("sent_at", flat=True)
    assert result == DeliveryResult(sent=3, retried=1)
    assert all(moment is not None and seconds_until(moment) < 1.0 for moment in sent)
    assert time.monotonic() - thread_began < 3.0


@pytest.mark.parametrize(
    ("behavior", "outcome_class"),
    [
        (answer(500, "oops"), "transient"),
        (answer(503, "no_text_here"), "transient"),
        (reset, "ambiguous"),
        (answer(429, "rate_limited"), "throttled"),
        (answer(200, "<html>captive portal</html>"), "transient"),
        (answer(418, "teapot"), "unknown"),
    ],
)
def test_deliver_due__passing_trouble__is_tried_again_and_arrives(
    slack: HttpSink, behavior: object, outcome_class: str
) -> None:
    slack.script.append(behavior)  # type: ignore[arg-type]  # a behavior of the table above
    enqueue(make_draft(), now=NOW)

    first = round_at(NOW)
    failed = only()
    second = round_at(failed.next_attempt_at)

    assert (first, second) == (DeliveryResult(retried=1), DeliveryResult(sent=1))
    assert (failed.state, failed.last_class) == ("retry", outcome_class)
    assert (only().state, only().attempts) == ("sent", 2)


def test_deliver_due__nobody_listens__is_tried_again(mail: SmtpSink) -> None:
    with override_settings(
        BUNDLE_EXPERIMENT_GUARDRAIL_SLACK_WEBHOOK_URL=f"http://127.0.0.1:{free_port(0)}/x",
        BUNDLE_EXPERIMENT_GUARDRAIL_EMAIL_RECIPIENTS=[],
    ):
        enqueue(make_draft(), now=NOW)

        result = round_at(NOW)

    assert result == DeliveryResult(retried=1)
    assert (only().last_class, only().last_excerpt) == ("transient", "The host could not be reached.")


def test_deliver_due__retry_after__is_never_broken(slack: HttpSink) -> None:
    slack.script.append(answer(429, "rate_limited", Retry_After="90"))
    enqueue_many(3)

    round_at(NOW)
    early = [round_at(NOW + timedelta(seconds=seconds)) for seconds in (5, 30, 60, 89)]
    enqueue(make_draft(dedupe_key="pause:later"), now=NOW + timedelta(seconds=80))
    early.append(round_at(NOW + timedelta(seconds=85)))
    posts_before = len(slack.received)
    after = round_at(NOW + timedelta(seconds=91))

    assert early == [DeliveryResult()] * 5
    assert posts_before == 1
    assert after == DeliveryResult(sent=4)


def test_deliver_due__retry_after_of_a_day__is_capped_at_an_hour(slack: HttpSink) -> None:
    slack.script.append(answer(429, "rate_limited", Retry_After="86400"))
    enqueue(make_draft(), now=NOW)

    round_at(NOW)

    assert 3600 <= seconds_until(only().next_attempt_at) < 3602


@pytest.mark.parametrize("status", [200, 400, 403, 404, 410])
@pytest.mark.parametrize(
    "word", ["no_service", "channel_is_archived", "invalid_token", "no_active_hooks", "team_disabled"]
)
def test_deliver_due__slack_says_gone__is_dead_at_once_whatever_the_code(
    slack: HttpSink, word: str, status: int
) -> None:
    slack.default = answer(status, word)
    enqueue_many(3)

    result = round_at(NOW)
    round_at(NOW + timedelta(hours=1))

    assert result == DeliveryResult(dead=3)
    assert len(slack.received) == 1
    assert set(Delivery.objects.values_list("state", "last_class", "last_excerpt")) == {("dead", "gone", word)}


def test_deliver_due__redirect__is_not_followed(slack: HttpSink, webhook: HttpSink) -> None:
    slack.default = answer(302, "", Location=webhook.url("/trap"))
    with override_settings(ALERT_WEBHOOK_URL=""):
        enqueue(make_draft(), now=NOW)

        result = round_at(NOW)

    assert result == DeliveryResult(dead=1)
    assert webhook.received == []


def test_deliver_due__blocks_refused__plain_text_once_then_dead(slack: HttpSink) -> None:
    slack.default = answer(400, "invalid_payload")
    enqueue(make_draft(), now=NOW)

    rounds = [round_at(NOW + timedelta(seconds=seconds)) for seconds in (0, 1, 2)]

    bodies = [json.loads(request.body) for request in slack.received]
    assert rounds == [DeliveryResult(retried=1), DeliveryResult(dead=1), DeliveryResult()]
    assert ["blocks" in body for body in bodies] == [True, False]
    assert "91 of 1,240 orders" in bodies[1]["text"]


def test_deliver_due__unknown_refusal__three_tries_then_dead(slack: HttpSink) -> None:
    slack.default = answer(418, "teapot")
    enqueue(make_draft(), now=NOW)

    rounds = [round_at(NOW + timedelta(minutes=minutes)) for minutes in (0, 16, 32, 48)]

    assert rounds == [DeliveryResult(retried=1), DeliveryResult(retried=1), DeliveryResult(dead=1), DeliveryResult()]
    assert len(slack.received) == 3


def test_deliver_due__six_hours_of_errors__all_arrive_within_15_minutes_of_recovery(slack: HttpSink) -> None:
    enqueue_many(30)
    slack.default = answer(500, "down")
    now = NOW
    while now < NOW + timedelta(hours=6):
        round_at(now)
        now += timedelta(minutes=1)
    posts_while_down = len(slack.received)
    slack.received.clear()
    slack.default = answer()

    minutes = 0
    while Delivery.objects.exclude(state="sent").exists() and minutes < 15:
        round_at(now + timedelta(minutes=minutes))
        minutes += 1

    assert Delivery.objects.filter(state="sent").count() == 30
    assert len(slack.received) == 30
    assert posts_while_down < 150


def test_deliver_due__three_days_of_errors__is_dead_and_can_be_sent_again(slack: HttpSink) -> None:
    slack.default = answer(500, "down")
    enqueue(make_draft(), now=NOW)
    now = NOW
    while only().state != "dead" and now < NOW + timedelta(days=5):
        now = max(now + timedelta(minutes=5), only().next_attempt_at)
        round_at(now)
    died = only()

    slack.default = answer()
    again = send_again([died], now=now + timedelta(hours=1))
    result = round_at(now + timedelta(hours=1))

    assert died.dead_at is not None
    assert timedelta(hours=70) < died.dead_at - NOW <= timedelta(hours=72)
    assert (again, result, only().state, only().dead_at) == (1, DeliveryResult(sent=1), "sent", None)


def test_deliver_due__one_recipient_of_three_unknown__the_others_get_it(mail: SmtpSink) -> None:
    mail.recipient_replies[RECIPIENTS[1]] = "550 5.1.1 No such user"
    enqueue(make_draft(), now=NOW)

    result = round_at(NOW)

    states = dict(Delivery.objects.values_list("recipient", "state"))
    assert result == DeliveryResult(sent=2, dead=1)
    assert states == {RECIPIENTS[0]: "sent", RECIPIENTS[1]: "dead", RECIPIENTS[2]: "sent"}
    assert "No such user" in Delivery.objects.get(state="dead").last_excerpt


def test_deliver_due__greylisted__is_tried_again_for_that_recipient_alone(mail: SmtpSink) -> None:
    mail.recipient_replies[RECIPIENTS[1]] = "451 4.7.1 Greylisted, come back"
    enqueue(make_draft(), now=NOW)

    first = round_at(NOW)
    mail.recipient_replies.clear()
    second = round_at(NOW + timedelta(minutes=1))

    assert (first, second) == (DeliveryResult(sent=2, retried=1), DeliveryResult(sent=1))
    assert sorted(mail.recipients) == sorted(RECIPIENTS)


def test_deliver_due__server_goes_away__holds_the_other_mails_back(mail: SmtpSink) -> None:
    mail.mail_reply = "421 4.3.2 Service shutting down"
    enqueue(make_draft(), now=NOW)

    first = round_at(NOW)
    untried = Delivery.objects.filter(state="pending", attempts=0).count()
    mail.mail_reply = ""
    second = round_at(NOW + timedelta(minutes=1))

    assert (first, untried, second) == (DeliveryResult(retried=1), 2, DeliveryResult(sent=3))


def test_deliver_due__password_refused__all_mail_is_dead_at_once(mail: SmtpSink) -> None:
    mail.credentials = (b"shop", b"right")
    with override_settings(EMAIL_HOST_USER="shop", EMAIL_HOST_PASSWORD="wrong"):
        enqueue(make_draft(), now=NOW)

        result = round_at(NOW)

    assert result == DeliveryResult(dead=3)
    assert set(Delivery.objects.values_list("last_class", "last_status")) == {("gone", 535)}


def test_deliver_due__cut_after_data__is_sent_again_under_the_same_message_id(mail: SmtpSink) -> None:
    mail.cut_after_data = 1
    with override_settings(BUNDLE_EXPERIMENT_GUARDRAIL_EMAIL_RECIPIENTS=RECIPIENTS[:1]):
        enqueue(make_draft(), now=NOW)

        first = round_at(NOW)
        second = round_at(NOW + timedelta(minutes=1))

    assert (first, second) == (DeliveryResult(retried=1), DeliveryResult(sent=1))
    assert list(DeliveryAttempt.objects.values_list("outcome_class", flat=True)) == ["ambiguous", "ok"]
    assert len({mail_seen["Message-ID"] for mail_seen in mail.mails}) == 1
    assert (len(mail.mails), only().message_id) == (2, mail.mails[0]["Message-ID"])


def test_deliver_due__mail_server_hangs__gives_the_turn_back_within_15_seconds(mail: SmtpSink) -> None:
    mail.hang_on_data = True
    enqueue(make_draft(), now=NOW)
    began = time.monotonic()

    result = round_at(NOW)

    assert result == DeliveryResult(retried=1)
    assert time.monotonic() - began < 15


def test_deliver_due__target_failed_five_times__is_probed_with_one_message(slack: HttpSink) -> None:
    enqueue_many(8)
    slack.default = answer(500, "down")
    now = NOW
    while TargetHealth.objects.filter(consecutive_failures__gte=5).count() == 0:
        now += timedelta(seconds=40)
        round_at(now)
    health = TargetHealth.objects.get()
    assert health.paused_until is not None
    slack.received.clear()

    resting = round_at(health.paused_until - timedelta(seconds=1))
    slack.default = answer()
    probe = round_at(health.paused_until)
    rest = round_at(health.paused_until + timedelta(seconds=5))

    assert (resting, probe, rest) == (DeliveryResult(), DeliveryResult(sent=1), DeliveryResult(sent=7))
    assert len(slack.received) == 8


def test_deliver_due__more_than_the_limit__critical_first(slack: HttpSink) -> None:
    for severity in ("info", "warning", "critical"):
        enqueue(make_draft(dedupe_key=severity, subject=severity, severity=severity), now=NOW)

    for _ in range(3):
        round_at(NOW, limit=1)

    order = [json.loads(request.body)["text"].split()[0] for request in slack.received]
    assert order == ["critical", "warning", "info"]


def test_deliver_due__slack_pace__is_one_message_a_second(slack: HttpSink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(channels.SECONDS_BETWEEN, "slack", 1.0)
    enqueue_many(3)

    result = round_at(NOW)
    at_once = round_at(NOW)

    gaps = [later.at - earlier.at for earlier, later in zip(slack.received, slack.received[1:], strict=False)]
    assert (result, at_once) == (DeliveryResult(sent=3), DeliveryResult())
    assert all(gap >= 0.99 for gap in gaps)


def test_deliver_due__our_own_defect__loses_nothing_and_tells_no_secret(
    slack: HttpSink, mail: SmtpSink, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(envelope: object) -> None:
        raise RuntimeError(f"could not post to {slack.url()}")

    monkeypatch.setitem(channels.CHANNELS, "slack", broken)
    enqueue(make_draft(), now=NOW)

    result = round_at(NOW)

    assert result == DeliveryResult(sent=3, retried=1)
    assert Delivery.objects.get(channel="slack").last_excerpt == "Our own error: RuntimeError."
    assert "SECRET" not in caplog.text


@pytest.mark.django_db(transaction=True)
def test_deliver_due__two_at_once__send_once(slack: HttpSink, mail: SmtpSink) -> None:
    enqueue_many(5)
    barrier, results = threading.Barrier(4), []

    def work() -> None:
        barrier.wait()
        results.append(round_at(NOW))
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    round_at(NOW)

    assert Delivery.objects.filter(state="sent", attempts=1).count() == 20
    assert (len(slack.received), len(mail.mails)) == (5, 15)


@pytest.mark.django_db(transaction=True)
def test_deliver_due__inside_a_transaction__is_refused(slack: HttpSink) -> None:
    from django.db import transaction

    enqueue(make_draft(), now=NOW)

    def within() -> None:
        with transaction.atomic():
            round_at(NOW)

    with pytest.raises(RuntimeError, match="durable"):
        within()


def test_claim__sender_died__is_claimed_again_when_its_lease_ends(slack: HttpSink) -> None:
    enqueue(make_draft(), now=NOW)
    claim("guardrail-slack", now=NOW, limit=20)  # and the process dies here

    during = round_at(NOW + LEASE - timedelta(seconds=1))
    after = round_at(NOW + LEASE)

    assert (during, after) == (DeliveryResult(), DeliveryResult(sent=1))
    assert list(DeliveryAttempt.objects.values_list("number", "outcome_class")) == [(1, "lost"), (2, "ok")]


def test_settle__lease_lost_to_another__changes_nothing(slack: HttpSink) -> None:
    enqueue(make_draft(), now=NOW)
    batch = claim("guardrail-slack", now=NOW, limit=20)
    assert batch is not None
    (late,) = list(sending.send_batches([batch], sending.Clock(NOW)))
    taken_over = claim("guardrail-slack", now=NOW + LEASE, limit=20)

    settled = delivery.settle(late, draw=middle)

    assert settled is None
    assert taken_over is not None
    assert (only().state, only().lease_token) == ("leased", taken_over.token)


def test_cancel__waiting_and_sent__only_the_waiting_ones(slack: HttpSink, mail: SmtpSink) -> None:
    mail.recipient_replies[RECIPIENTS[0]] = "451 later"
    enqueue(make_draft(), now=NOW)
    round_at(NOW)

    cancelled = cancel(list(Delivery.objects.all()))
    result = round_at(NOW + timedelta(hours=1))

    assert (cancelled, result) == (1, DeliveryResult())
    assert Delivery.objects.get(recipient=RECIPIENTS[0]).state == "cancelled"


def test_deliver_due__secret_address__is_in_no_row_and_no_log(
    slack: HttpSink, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    slack.script.extend([answer(500, f"cannot reach {slack.url()}"), reset, answer(404, f"no_service {slack.url()}")])
    enqueue(make_draft(), now=NOW)

    for minutes in (0, 5, 10):
        round_at(NOW + timedelta(minutes=minutes))

    with connection.cursor() as cursor:
        cursor.execute("SELECT row_to_json(d)::text FROM notifications_deliveries d")
        rows = [row[0] for row in cursor.fetchall()]
        cursor.execute("SELECT row_to_json(a)::text FROM notifications_delivery_attempts a")
        rows += [row[0] for row in cursor.fetchall()]
    assert only().state == "dead"
    assert len(rows) == 4
    assert "SECRET" not in " ".join(rows) + caplog.text


def test_attempt__changed_or_deleted__is_refused_by_the_database(slack: HttpSink) -> None:
    enqueue(make_draft(), now=NOW)
    round_at(NOW)

    with pytest.raises(DatabaseError, match="append-only"):
        DeliveryAttempt.objects.update(outcome_class="gone")


def test_delivery__state_without_its_time__is_refused_by_the_database(slack: HttpSink) -> None:
    enqueue(make_draft(), now=NOW)

    with pytest.raises(DatabaseError, match="delivery_sent_at_agrees"):
        Delivery.objects.update(state="sent")


def test_alert__with_messages__cannot_be_deleted(slack: HttpSink) -> None:
    from django.db.models import ProtectedError

    enqueue(make_draft(), now=NOW)

    with pytest.raises(ProtectedError):
        Alert.objects.all().delete()
