"""The alert pages: who may see and do what, and that nothing is done by looking."""

from __future__ import annotations

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from notifications.delivery import deliver_due
from notifications.models import Alert, Delivery
from notifications.outbox import enqueue
from tests.notifications.conftest import NOW, RECIPIENTS, make_draft
from tests.notifications.test_messages import HOSTILE
from tests.sinks import HttpSink, SmtpSink, answer

pytestmark = pytest.mark.django_db

ALERTS = "admin:notifications_alert_changelist"
DELIVERIES = "admin:notifications_delivery_changelist"


def person(*codenames: str) -> Client:
    user = User.objects.create_user("mara", password="x", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    client = Client()
    client.force_login(user)
    return client


def viewer() -> Client:
    return person("view_alert", "view_delivery")


def operator() -> Client:
    return person("view_alert", "view_delivery", "change_alert", "change_delivery")


def act(client: Client, page: str, action: str, *rows: Alert | Delivery) -> int:
    data = {"action": action, "_selected_action": [str(row.pk) for row in rows]}
    return client.post(reverse(page), data).status_code


def dead_alert(slack: HttpSink) -> Alert:
    slack.script.append(answer(404, "no_service"))
    alert = enqueue(make_draft(), now=NOW)
    assert alert is not None
    deliver_due(now=NOW)
    return alert


def test_alert_list__dead_message__says_state_and_reason_in_words(slack: HttpSink) -> None:
    dead_alert(slack)

    page = viewer().get(reverse(ALERTS)).content.decode()

    assert "Given up 1" in page
    assert "The receiver is gone or turns our messages away. It said: “no_service” (404)" in page
    assert "SECRET" not in page


def test_alert_page__mixed_messages__shows_each_with_its_recipient(mail: SmtpSink) -> None:
    mail.recipient_replies[RECIPIENTS[1]] = "550 No such user"
    alert = enqueue(make_draft(), now=NOW)
    assert alert is not None
    deliver_due(now=NOW)

    page = viewer().get(reverse("admin:notifications_alert_change", args=[alert.pk])).content.decode()

    for part in (*RECIPIENTS, "No such user", "44 times (pauses at 40)", alert.reference):
        assert part in page


def test_delivery_page__retried_message__shows_every_try(slack: HttpSink) -> None:
    slack.script.append(answer(500, "down"))
    enqueue(make_draft(), now=NOW)
    deliver_due(now=NOW, draw=lambda: 0.0)

    row = Delivery.objects.get()
    page = viewer().get(reverse("admin:notifications_delivery_change", args=[row.pk])).content.decode()

    assert "transient" in page
    assert "SECRET" not in page


def test_send_again__operator__puts_it_back_in_line_and_is_logged(slack: HttpSink) -> None:
    alert = dead_alert(slack)

    status = act(operator(), ALERTS, "send_again", alert)

    assert status == 302
    assert Delivery.objects.get().state == "pending"
    assert LogEntry.objects.get(object_id=str(alert.pk)).change_message == "Put back in line:"


@pytest.mark.parametrize("action", ["send_again", "cancel", "acknowledge"])
def test_actions__viewer__are_refused(slack: HttpSink, action: str) -> None:
    alert = dead_alert(slack)

    act(viewer(), ALERTS, action, alert)

    alert.refresh_from_db()
    assert Delivery.objects.get().state == "dead"
    assert alert.acknowledged_at is None


def test_cancel__waiting_message__is_taken_out_of_line(slack: HttpSink) -> None:
    enqueue(make_draft(), now=NOW)

    act(operator(), DELIVERIES, "cancel", Delivery.objects.get())

    assert Delivery.objects.get().state == "cancelled"


def test_acknowledge__operator__is_named(slack: HttpSink) -> None:
    alert = dead_alert(slack)

    act(operator(), ALERTS, "acknowledge", alert)

    alert.refresh_from_db()
    assert alert.acknowledged_by == "user:mara"


def test_fire_drill__operator__goes_through_the_outbox(slack: HttpSink) -> None:
    client = operator()

    reply = client.post(reverse("admin:notifications_alert_test"), follow=True)
    deliver_due(now=Alert.objects.get().created_at)

    assert "A test alert is on its way" in reply.content.decode()
    assert b"Test alert: smplat can reach you" in slack.received[0].body


def test_fire_drill__no_target__says_so() -> None:
    reply = operator().post(reverse("admin:notifications_alert_test"), follow=True)

    assert "No target is configured" in reply.content.decode()


def test_fire_drill__viewer_or_get__is_refused(slack: HttpSink) -> None:
    client = viewer()

    statuses = [
        client.post(reverse("admin:notifications_alert_test")).status_code,
        client.get(reverse("admin:notifications_alert_test")).status_code,
    ]

    assert statuses == [403, 405]
    assert not Alert.objects.exists()
    assert "Send test alert" not in client.get(reverse(ALERTS)).content.decode()


def test_fire_drill__without_token__is_refused(slack: HttpSink) -> None:
    user = User.objects.create_superuser("root", password="x")
    client = Client(enforce_csrf_checks=True)
    client.force_login(user)

    assert client.post(reverse("admin:notifications_alert_test")).status_code == 403


@pytest.mark.parametrize("text", HOSTILE)
def test_alert_pages__hostile_names__are_text(slack: HttpSink, text: str) -> None:
    facts = {"lines": [{"label": text, "value": text}]}
    alert = enqueue(make_draft(subject=text, summary=text, dedupe_key=text.replace("\0", ""), facts=facts), now=NOW)
    assert alert is not None
    client = viewer()

    pages = [client.get(reverse(ALERTS)), client.get(reverse("admin:notifications_alert_change", args=[alert.pk]))]

    for page in pages:
        assert page.status_code == 200
        assert "<script>alert(1)" not in page.content.decode()


def test_alert_list__fifty_alerts__asks_a_constant_number_of_queries(
    slack: HttpSink, django_assert_max_num_queries: object
) -> None:
    for number in range(50):
        enqueue(make_draft(dedupe_key=f"pause:{number}"), now=NOW)
    client = viewer()

    with django_assert_max_num_queries(20):  # type: ignore[operator]  # a fixture without a type of its own
        client.get(reverse(ALERTS))


@pytest.mark.parametrize("model", ["alert", "delivery"])
def test_pages__add_and_delete__do_not_exist(slack: HttpSink, model: str) -> None:
    alert = dead_alert(slack)
    row = alert if model == "alert" else Delivery.objects.get()
    client = operator()

    statuses = [
        client.get(reverse(f"admin:notifications_{model}_add")).status_code,
        client.post(reverse(f"admin:notifications_{model}_delete", args=[row.pk])).status_code,
        client.post(reverse(f"admin:notifications_{model}_change", args=[row.pk]), {}).status_code,
    ]

    assert statuses == [403, 403, 403]
