"""Enqueueing: in the caller's transaction, once per dedupe key, and never dependent on the broker."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import override_settings
from redis import Redis

from notifications import outbox
from notifications.models import Alert, Delivery, DeliveryState
from notifications.outbox import enqueue
from smplat.embedded.broker import Broker
from tests.notifications.conftest import NOW, RECIPIENTS, make_draft
from tests.sinks import HttpSink, SmtpSink

nudge = outbox.nudge  # the real one; the fixtures replace the module's


@pytest.mark.django_db
def test_enqueue__three_channels__one_row_per_target_and_recipient(
    slack: HttpSink, mail: SmtpSink, webhook: HttpSink
) -> None:
    alert = enqueue(make_draft(), now=NOW)

    rows = Delivery.objects.filter(alert=alert).values_list("channel", "recipient", "state", "next_attempt_at")
    expected = [("slack", ""), ("webhook", ""), *(("email", recipient) for recipient in RECIPIENTS)]
    assert sorted(rows) == sorted((channel, recipient, "pending", NOW) for channel, recipient in expected)


@pytest.mark.django_db
def test_enqueue__same_key_again__stores_nothing(slack: HttpSink) -> None:
    enqueue(make_draft(), now=NOW)

    again = enqueue(make_draft(subject="Something else"), now=NOW + timedelta(hours=1))

    assert again is None
    assert (Alert.objects.count(), Delivery.objects.count()) == (1, 1)


@pytest.mark.django_db(transaction=True)
def test_enqueue__caller_rolls_back__nothing_was_said(slack: HttpSink) -> None:
    def pause_and_fail() -> None:
        with transaction.atomic():
            enqueue(make_draft(), now=NOW)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        pause_and_fail()

    assert not Alert.objects.exists()
    assert not Delivery.objects.exists()


@pytest.mark.django_db
def test_enqueue__no_target_configured__keeps_the_alert_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    alert = enqueue(make_draft(), now=NOW)

    assert alert is not None
    assert not alert.deliveries.exists()
    assert "no target" in caplog.text


@pytest.mark.django_db
@override_settings(BUNDLE_EXPERIMENT_GUARDRAIL_EMAIL_RECIPIENTS=["a@shop.example"], SMTP_HOST="")
def test_enqueue__recipients_without_mail_server__promises_no_mail() -> None:
    enqueue(make_draft(), now=NOW)

    assert not Delivery.objects.exists()


@pytest.mark.django_db
def test_enqueue__facts_the_database_refuses__are_made_storable(slack: HttpSink) -> None:
    facts = {"data": {"rate": float("nan"), "rows": [float("inf")]}, "lines": [{"label": "a\0b", "value": "\ud800"}]}

    alert = enqueue(make_draft(subject="nul\0" + "x" * 400, facts=facts), now=NOW)

    assert alert is not None
    alert.refresh_from_db()
    assert alert.facts == {"data": {"rate": "nan", "rows": ["inf"]}, "lines": [{"label": "ab", "value": "?"}]}
    assert len(alert.subject) == 300


@pytest.mark.django_db(transaction=True)
def test_enqueue__two_at_once_with_one_key__store_one_alert(slack: HttpSink) -> None:
    barrier, stored = threading.Barrier(2), []

    def work() -> None:
        barrier.wait()
        with transaction.atomic():
            stored.append(enqueue(make_draft(), now=NOW))
            time.sleep(0.1)
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [alert is None for alert in stored].count(True) == 1
    assert (Alert.objects.count(), Delivery.objects.count()) == (1, 1)


@pytest.mark.django_db(transaction=True)
def test_enqueue__committed__wakes_a_worker_by_the_control_queue(
    slack: HttpSink, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "nudge", nudge)
    monkeypatch.setattr(outbox, "_breaker", outbox._Breaker())
    queue = Redis.from_url(broker.url.replace("redis+socket", "unix"))
    before = queue.llen("smplat:control")

    with transaction.atomic():
        enqueue(make_draft(), now=NOW)
        within = queue.llen("smplat:control")

    assert (within - before, queue.llen("smplat:control") - before) == (0, 1)
    queue.close()


@pytest.mark.django_db(transaction=True)
def test_enqueue__broker_away__commits_and_asks_it_no_more_for_a_while(
    slack: HttpSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    from smplat.celery import app

    monkeypatch.setattr(outbox, "nudge", nudge)
    monkeypatch.setattr(outbox, "_breaker", outbox._Breaker())
    asked: list[str] = []
    send_task = app.send_task

    def counted(name: str, **options: Any) -> object:
        asked.append(name)
        return send_task(name, **options)

    monkeypatch.setattr(app, "send_task", counted)
    before = app.conf.broker_url
    app.conf.update(broker_url="redis+socket:///nowhere/broker.sock")
    began = time.monotonic()

    try:
        enqueue(make_draft(), now=NOW)
        enqueue(make_draft(dedupe_key="pause:another:1"), now=NOW)
    finally:
        app.conf.update(broker_url=before)

    assert Delivery.objects.filter(state=DeliveryState.PENDING).count() == 2
    assert asked == ["notifications.tasks.deliver_due_alerts"]
    assert time.monotonic() - began < 1


@pytest.mark.django_db
def test_resolve__open_alert__is_noted_once(slack: HttpSink) -> None:
    alert = enqueue(make_draft(), now=NOW)
    assert alert is not None

    answers = [outbox.resolve(alert.dedupe_key, now=NOW + timedelta(minutes=minute)) for minute in (5, 6)]

    alert.refresh_from_db()
    assert answers == [True, False]
    assert alert.resolved_at == NOW + timedelta(minutes=5)


@pytest.mark.django_db
def test_acknowledge__second_person__does_not_take_the_name_of_the_first(slack: HttpSink) -> None:
    alert = enqueue(make_draft(), now=NOW)
    assert alert is not None

    answers = [outbox.acknowledge(alert, actor=actor, now=NOW, note="seen") for actor in ("user:mara", "user:jonas")]

    alert.refresh_from_db()
    assert answers == [True, False]
    assert (alert.acknowledged_by, alert.acknowledgement_note) == ("user:mara", "seen")
