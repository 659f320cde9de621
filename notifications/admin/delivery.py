"""One message and every try of it; and how the targets behave."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString

from notifications import delivery
from notifications.admin.read_only import ReadOnlyAdmin
from notifications.admin.shown import chip, reason_in_words
from notifications.models import Delivery, DeliveryAttempt, TargetHealth
from smplat.admin_theme import TabularInline, action, display


class AttemptInline(TabularInline):  # type: ignore[type-arg]  # takes no parameters at run time
    """Every try of a message."""

    model = DeliveryAttempt
    extra = 0
    can_delete = False
    fields = readonly_fields = ("number", "began_at", "ended_at", "outcome_class", "status", "excerpt")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether the message itself may be read."""
        return request.user.has_perm("notifications.view_delivery")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False: only `delivery` records tries."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False: the database refuses it too."""
        return False


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin):
    """One message to one target, and every try."""

    list_display = ("alert", "target", "recipient", "state_chip", "attempts", "next_attempt_at", "reason")
    list_filter = ("state", "channel", "target")
    search_fields = ("alert__subject", "recipient")
    list_select_related = ("alert",)
    inlines = (AttemptInline,)
    actions = ("send_again", "cancel")
    fields = readonly_fields = (
        "alert",
        "channel",
        "target",
        "recipient",
        "state_chip",
        "reason",
        "attempts",
        "created_at",
        "next_attempt_at",
        "give_up_at",
        "sent_at",
        "dead_at",
        "message_id",
    )

    @display(description="state", ordering="state")
    def state_chip(self, row: Delivery) -> SafeString:
        """Show the state."""
        return chip(row.state, row.get_state_display())

    @display(description="reason")
    def reason(self, row: Delivery) -> str:
        """Say why."""
        return reason_in_words(row)

    @action(description="Send again what was given up or cancelled", permissions=["change"])
    def send_again(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> None:
        """Put messages back in line."""
        self.note(request, queryset, delivery.send_again(list(queryset), now=timezone.now()), "Put back in line:")

    @action(description="Cancel what still waits", permissions=["change"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> None:
        """Take messages out of line."""
        self.note(request, queryset, delivery.cancel(list(queryset)), "Cancelled:")


@admin.register(TargetHealth)
class TargetHealthAdmin(ReadOnlyAdmin):
    """How each target behaves."""

    list_display = ("target", "consecutive_failures", "paused_until", "last_ok_at", "last_failure_at")
    readonly_fields = list_display
