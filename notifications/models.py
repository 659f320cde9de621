"""Alerts and what became of each message sent about them: the outbox, written together with the fact it tells of."""

from __future__ import annotations

import uuid
from datetime import datetime

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import Exists, F, OuterRef, Q
from django.db.models.fields.json import KT
from uuid_utils.compat import uuid7


def time_ordered_id() -> uuid.UUID:
    """Return a UUIDv7: unique, and growing with time so that indexes stay dense."""
    return uuid7()


class Severity(models.TextChoices):
    """How much an alert matters, most first."""

    CRITICAL = "critical", "Critical"
    WARNING = "warning", "Warning"
    INFO = "info", "Information"


class DeliveryState(models.TextChoices):
    """Where a message stands on its way; `leased` means that a sender holds it now."""

    PENDING = "pending", "Waiting"
    LEASED = "leased", "Being sent"
    RETRY = "retry", "Trying again"
    SENT = "sent", "Sent"
    DEAD = "dead", "Given up"
    CANCELLED = "cancelled", "Cancelled"


SUBJECT_LENGTH = 300
WAITING_STATES = (DeliveryState.PENDING, DeliveryState.RETRY)


class Alert(models.Model):
    """One fact worth telling people; `facts` are the frozen numbers, words and links that every channel renders."""

    id = models.UUIDField(primary_key=True, default=time_ordered_id, editable=False)
    dedupe_key = models.CharField(max_length=400, unique=True)
    kind = models.CharField(max_length=64)
    severity = models.CharField(max_length=16, choices=Severity.choices)
    subject = models.CharField(max_length=SUBJECT_LENGTH)
    summary = models.TextField(blank=True)
    facts = models.JSONField(default=dict, blank=True, encoder=DjangoJSONEncoder)
    occurred_at = models.DateTimeField()
    created_at = models.DateTimeField()
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    acknowledged_by = models.CharField(max_length=200, blank=True)
    acknowledgement_note = models.TextField(blank=True)
    resolved_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "notifications_alerts"
        ordering = ["-created_at", "-id"]
        indexes = [
            models.Index(fields=["-created_at"], name="alert_newest"),
            models.Index(KT("facts__data__experiment"), F("created_at").desc(), name="alert_experiment"),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(severity__in=Severity.values), name="alert_severity_known"),
            models.CheckConstraint(
                condition=Q(acknowledged_at=None, acknowledged_by="")
                | (~Q(acknowledged_at=None) & ~Q(acknowledged_by="")),
                name="alert_acknowledged_by_somebody",
            ),
        ]

    def __str__(self) -> str:
        """Show the subject."""
        return self.subject

    @property
    def reference(self) -> str:
        """The short id that stands in every message, eight hexadecimal digits."""
        return self.id.hex[-8:]


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    """Questions about many deliveries."""

    def waiting(self) -> DeliveryQuerySet:
        """Those that are still to be sent and that nobody holds."""
        return self.filter(state__in=WAITING_STATES)

    def due(self, now: datetime) -> DeliveryQuerySet:
        """Those to send at `now`, and those whose sender did not come back before its lease ended."""
        return self.filter(
            Q(state__in=WAITING_STATES, next_attempt_at__lte=now) | Q(state=DeliveryState.LEASED, lease_until__lte=now)
        )

    def unhindered(self, now: datetime) -> DeliveryQuerySet:
        """Those whose target is not resting at `now`."""
        resting = TargetHealth.objects.filter(target=OuterRef("target"), paused_until__gt=now)
        return self.filter(~Exists(resting))

    def dead(self) -> DeliveryQuerySet:
        """Those that were given up."""
        return self.filter(state=DeliveryState.DEAD)


class Delivery(models.Model):
    """One alert to one target, for mail to one recipient.

    `target` is a name from `notifications.targets`, never an address: webhook addresses are secrets. `attempts` counts
    sends begun. `last_class`, `last_status` and `last_excerpt` tell how the newest attempt ended.
    """

    id = models.UUIDField(primary_key=True, default=time_ordered_id, editable=False)
    alert = models.ForeignKey(Alert, on_delete=models.PROTECT, related_name="deliveries")
    channel = models.CharField(max_length=16)
    target = models.CharField(max_length=100)
    recipient = models.CharField(max_length=320, blank=True)
    state = models.CharField(max_length=16, choices=DeliveryState.choices, default=DeliveryState.PENDING)
    attempts = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField()
    next_attempt_at = models.DateTimeField()
    give_up_at = models.DateTimeField()
    lease_token = models.UUIDField(null=True, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    last_class = models.CharField(max_length=16, blank=True)
    last_status = models.PositiveIntegerField(null=True, blank=True)
    last_excerpt = models.CharField(max_length=200, blank=True)
    message_id = models.CharField(max_length=400, blank=True)
    sent_at = models.DateTimeField(null=True, blank=True)
    dead_at = models.DateTimeField(null=True, blank=True)

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        db_table = "notifications_deliveries"
        ordering = ["-created_at", "-id"]
        verbose_name_plural = "deliveries"
        indexes = [
            # The sender's only questions; they stay small however long the history grows.
            models.Index(fields=["next_attempt_at"], condition=Q(state__in=WAITING_STATES), name="delivery_due"),
            models.Index(fields=["lease_until"], condition=Q(state=DeliveryState.LEASED), name="delivery_leased"),
            models.Index(fields=["dead_at"], condition=Q(state=DeliveryState.DEAD), name="delivery_dead"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["alert", "channel", "target", "recipient"], name="delivery_once_per_target"
            ),
            models.CheckConstraint(condition=Q(state__in=DeliveryState.values), name="delivery_state_known"),
            models.CheckConstraint(
                condition=Q(state=DeliveryState.SENT, sent_at__isnull=False)
                | (~Q(state=DeliveryState.SENT) & Q(sent_at=None)),
                name="delivery_sent_at_agrees",
            ),
            models.CheckConstraint(
                condition=Q(state=DeliveryState.DEAD, dead_at__isnull=False)
                | (~Q(state=DeliveryState.DEAD) & Q(dead_at=None)),
                name="delivery_dead_at_agrees",
            ),
            models.CheckConstraint(
                condition=Q(state=DeliveryState.LEASED, lease_token__isnull=False, lease_until__isnull=False)
                | (~Q(state=DeliveryState.LEASED) & Q(lease_token=None, lease_until=None)),
                name="delivery_lease_agrees",
            ),
            models.CheckConstraint(
                condition=Q(give_up_at__gte=F("created_at")), name="delivery_gives_up_after_creation"
            ),
        ]

    def __str__(self) -> str:
        """Name the message by its way and its state."""
        return f"{self.target}{' to ' + self.recipient if self.recipient else ''}: {self.get_state_display()}"


class DeliveryAttempt(models.Model):
    """One send and how it ended; append-only, the database refuses to change it."""

    id = models.UUIDField(primary_key=True, default=time_ordered_id, editable=False)
    delivery = models.ForeignKey(Delivery, on_delete=models.PROTECT, related_name="history")
    number = models.PositiveIntegerField()
    began_at = models.DateTimeField()
    ended_at = models.DateTimeField()
    outcome_class = models.CharField(max_length=16)
    status = models.PositiveIntegerField(null=True, blank=True)
    excerpt = models.CharField(max_length=200, blank=True)

    class Meta:
        db_table = "notifications_delivery_attempts"
        ordering = ["delivery", "ended_at", "id"]
        constraints = [
            models.CheckConstraint(condition=Q(ended_at__gte=F("began_at")), name="attempt_ends_after_it_began")
        ]

    def __str__(self) -> str:
        """Name the attempt by its number and its end."""
        return f"attempt {self.number}: {self.outcome_class}"


class TargetHealth(models.Model):
    """How a target behaves: it rests until `paused_until` (Retry-After, pace, or too many failures in a row)."""

    target = models.CharField(max_length=100, primary_key=True)
    consecutive_failures = models.PositiveIntegerField(default=0)
    paused_until = models.DateTimeField(null=True, blank=True)
    last_ok_at = models.DateTimeField(null=True, blank=True)
    last_failure_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "notifications_target_health"
        ordering = ["target"]
        verbose_name = "target"

    def __str__(self) -> str:
        """Name the target."""
        return self.target
