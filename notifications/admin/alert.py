"""Alerts for people: where each message stands, why, and what can be done about it."""

from __future__ import annotations

from collections import Counter
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.timesince import timesince
from django.views.decorators.http import require_POST

from notifications import delivery, outbox
from notifications.admin.read_only import ReadOnlyAdmin
from notifications.admin.shown import MOST_TROUBLED_FIRST, chip, next_try, reason_in_words
from notifications.models import Alert, Delivery
from notifications.sending import notice_of
from smplat.admin_theme import TabularInline, action, display


class DeliveryInline(TabularInline):  # type: ignore[type-arg]  # takes no parameters at run time
    """The messages of an alert."""

    model = Delivery
    extra = 0
    can_delete = False
    show_change_link = True
    fields = readonly_fields = ("target", "recipient", "state_chip", "attempts", "next_attempt_at", "sent_at", "reason")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False: only `outbox` makes messages."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False: they are read here."""
        return False

    @display(description="state")
    def state_chip(self, row: Delivery) -> SafeString:
        """Show the state."""
        return chip(row.state, row.get_state_display())

    @display(description="reason")
    def reason(self, row: Delivery) -> str:
        """Say why."""
        return reason_in_words(row)


@admin.register(Alert)
class AlertAdmin(ReadOnlyAdmin):
    """What was told to people, and whether it arrived."""

    list_before_template = "notifications/fire_drill.html"
    list_display = ("subject", "urgency", "messages_by_state", "age", "attempts", "next_try", "reason", "seen_by")
    list_filter = ("severity", "kind", "deliveries__state", ("acknowledged_at", admin.EmptyFieldListFilter))
    search_fields = ("subject", "dedupe_key", "id__endswith")
    inlines = (DeliveryInline,)
    actions = ("send_again", "cancel", "acknowledge")
    fields = readonly_fields = (
        "subject",
        "reference",
        "urgency",
        "kind",
        "summary",
        "figures",
        "occurred_at",
        "created_at",
        "acknowledged_at",
        "acknowledged_by",
        "acknowledgement_note",
        "resolved_at",
        "dedupe_key",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Alert]:
        """Return the alerts with their messages, in two queries."""
        queryset: QuerySet[Alert] = super().get_queryset(request)
        return queryset.prefetch_related("deliveries")

    def get_urls(self) -> list[URLPattern]:
        """Add the fire-drill's address."""
        drill = require_POST(self.admin_site.admin_view(self.send_test))
        return [path("test/", drill, name="notifications_alert_test"), *super().get_urls()]

    def send_test(self, request: HttpRequest) -> HttpResponse:
        """Send a test alert through the real path.

        Raises:
            PermissionDenied: The person may not act on alerts.
        """
        if not self.has_change_permission(request):
            raise PermissionDenied
        now = timezone.now()
        alert = outbox.enqueue(outbox.draft_test_alert(actor=f"user:{request.user.get_username()}", now=now), now=now)
        if alert is not None and alert.deliveries.exists():
            self.message_user(request, f"A test alert is on its way (reference {alert.reference}).", messages.SUCCESS)
        else:
            self.message_user(request, "No target is configured, so the test alert can go nowhere.", messages.WARNING)
        return HttpResponseRedirect(reverse("admin:notifications_alert_changelist"))

    @display(description="urgency", ordering="severity")
    def urgency(self, alert: Alert) -> SafeString:
        """Show the severity."""
        return chip(alert.severity, alert.get_severity_display())

    @display(description="messages")
    def messages_by_state(self, alert: Alert) -> SafeString | str:
        """Show how many messages stand where."""
        counts = Counter(row.state for row in alert.deliveries.all())
        shown = [(chip(state, f"{state.label} {counts[state]}"),) for state in MOST_TROUBLED_FIRST if counts[state]]
        return format_html_join("", "{}", shown) or "No target is configured"

    @display(description="age", ordering="created_at")
    def age(self, alert: Alert) -> str:
        """Say how long ago it was written."""
        return timesince(alert.created_at, timezone.now(), depth=1)

    @display(description="tries")
    def attempts(self, alert: Alert) -> int:
        """Count the tries of all its messages."""
        return sum(row.attempts for row in alert.deliveries.all())

    @display(description="next try")
    def next_try(self, alert: Alert) -> str:
        """Say when the next message is tried."""
        return next_try(list(alert.deliveries.all()), timezone.now())

    @display(description="reason")
    def reason(self, alert: Alert) -> str:
        """Say why its most troubled message stands where it stands."""
        rows = sorted(alert.deliveries.all(), key=lambda row: [*map(str, MOST_TROUBLED_FIRST)].index(row.state))
        return reason_in_words(rows[0]) if rows else "-"

    @display(description="acknowledged by", empty_value="-")
    def seen_by(self, alert: Alert) -> str:
        """Name who has seen it."""
        return alert.acknowledged_by

    @display(description="figures")
    def figures(self, alert: Alert) -> SafeString | str:
        """List the numbers that the messages carry."""
        return format_html_join("", "<div><b>{}:</b> {}</div>", notice_of(alert).lines) or "-"

    @action(description="Send again what was given up or cancelled", permissions=["change"])
    def send_again(self, request: HttpRequest, queryset: QuerySet[Alert]) -> None:
        """Put messages back in line."""
        rows = Delivery.objects.filter(alert__in=queryset)
        self.note(request, queryset, delivery.send_again(list(rows), now=timezone.now()), "Put back in line:")

    @action(description="Cancel what still waits", permissions=["change"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[Alert]) -> None:
        """Take messages out of line."""
        self.note(request, queryset, delivery.cancel(list(Delivery.objects.filter(alert__in=queryset))), "Cancelled:")

    @action(description="Acknowledge", permissions=["change"])
    def acknowledge(self, request: HttpRequest, queryset: QuerySet[Alert]) -> None:
        """Note who has seen the alerts."""
        actor, now = f"user:{request.user.get_username()}", timezone.now()
        changed = [alert for alert in queryset if outbox.acknowledge(alert, actor=actor, now=now)]
        for alert in changed:
            self.log_change(request, alert, "Acknowledged.")
        self.message_user(request, f"Acknowledged: {len(changed)}.", messages.SUCCESS)
