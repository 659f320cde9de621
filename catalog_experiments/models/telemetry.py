"""The facts: who met which variant when, what was ordered, and which bundles an order took."""

from django.db import models
from django.db.models.functions import Now

from catalog_experiments.models.bundle import Bundle
from catalog_experiments.models.experiment import Experiment
from catalog_experiments.models.fields import time_ordered_id, time_ordered_key
from catalog_experiments.models.phase import Phase


class ExcludedTraffic(models.TextChoices):
    """Whose events are kept and never counted, in the order in which one reason wins over another."""

    BOT = "bot", "Bot"
    STAFF = "staff", "Staff"
    TEST = "test", "Test"


def excluded_mark() -> "models.CharField[str | None, str | None]":
    """Build the column that says why a fact is left out of every count; null: it counts."""
    return models.CharField(max_length=8, null=True, blank=True, choices=ExcludedTraffic.choices)


class Exposure(models.Model):
    """A unit reached the offer slot; one row per phase and unit, the earliest (exposed_at, variant key).

    Range-partitioned by `retention_month`, the first day of the month in which the phase opened, so that a phase's
    rows leave together. The database's key is (retention_month, experiment, phase, unit); `id` is what Django
    and the admin hold on to. Foreign keys are not enforced by the database: intake resolves the phase itself,
    and a check per row would halve the load rate.
    """

    id = models.UUIDField(primary_key=True, default=time_ordered_id, editable=False)
    retention_month = models.DateField()
    experiment = models.ForeignKey(Experiment, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False)
    phase = models.ForeignKey(Phase, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False)
    unit = models.UUIDField()
    variant_key = models.CharField(max_length=100, help_text="As computed, whatever was claimed.")
    claimed_key = models.CharField(  # noqa: DJ001 - null costs a right claim nothing
        max_length=100, null=True, blank=True, help_text="What the client claimed, where that is another variant."
    )
    exposed_at = models.DateTimeField()
    recorded_at = models.DateTimeField()
    is_mixed = models.BooleanField(default=False, help_text="Seen with another variant too.")
    is_fault = models.BooleanField(default=False, help_text="The claimed variant was not the computed one.")
    is_merged = models.BooleanField(default=False, help_text="Joined to an earlier unit of the same person.")
    is_holdout = models.BooleanField(default=False, help_text="Seen held out: kept from every result of the phase.")
    excluded_as = excluded_mark()
    segments = models.JSONField(null=True, blank=True)
    moved_from_at = models.DateTimeField(
        null=True, blank=True, help_text="The latest time it was stored with, where an earlier report moved it."
    )

    left_at = models.DateTimeField(
        null=True, blank=True, help_text="Since when it counts no more, by the database's clock, where it did before."
    )

    class Meta:
        db_table = "catalog_bundle_exposures"
        ordering = ["-exposed_at"]
        indexes = [
            models.Index(fields=["phase"], condition=models.Q(excluded_as__isnull=False), name="exposure_excluded")
        ]

    def __str__(self) -> str:
        """Name the row by unit and variant."""
        return f"{self.unit} met {self.variant_key}"


class UnitAlias(models.Model):
    """A customer was seen to be the person behind a visitor id; both are keyed digests.

    A visitor id belongs to one customer for good: the first report is kept. What follows for exposures is marked on
    their rows, for open phases only; what follows for orders is found by aggregation, in phases that were open then.
    """

    id = time_ordered_key()
    visitor = models.UUIDField(unique=True)
    customer = models.UUIDField(db_index=True)
    recorded_at = models.DateTimeField()
    stored_at = models.DateTimeField(
        db_default=Now(), db_index=True, help_text="By the database's clock: aggregation finds what is new by it."
    )

    class Meta:
        db_table = "catalog_unit_aliases"
        ordering = ["-recorded_at"]
        verbose_name_plural = "unit aliases"
        constraints = [
            models.CheckConstraint(condition=~models.Q(visitor=models.F("customer")), name="unit_alias_of_another")
        ]

    def __str__(self) -> str:
        """Name both."""
        return f"{self.visitor} is {self.customer}"


class OrderStatus(models.TextChoices):
    """What the shop says of an order; paid and confirmed ones count."""

    PENDING = "pending", "Pending"
    PAID = "paid", "Paid"
    CONFIRMED = "confirmed", "Confirmed"
    CANCELLED = "cancelled", "Cancelled"


class Order(models.Model):
    """One checkout order as reported by the shop.

    `unit` is the keyed digest of the unit id, null for an order without one. `lines` is a list of `{slug, quantity,
    price_minor, cost_minor}` (prices per piece, minor units; cost may be null). `offers` lists what was bought
    through an offer: `{experiment, variant, document_version, bundle, valid_until}`. `content_digest` tells a replay
    (same content) from a conflict.
    """

    id = time_ordered_key()
    order_ref = models.CharField(max_length=150)
    unit = models.UUIDField(null=True, blank=True)
    placed_at = models.DateTimeField()
    revenue_minor = models.BigIntegerField(help_text="Sum over all lines, minor units.")
    margin_minor = models.BigIntegerField(null=True, blank=True, help_text="Null when a cost is unknown.")
    refunded_minor = models.BigIntegerField(default=0)
    currency = models.CharField(max_length=3)
    lines = models.JSONField(default=list)
    accepted_bundles = models.JSONField(
        null=True, blank=True, help_text="Named by the shop; null: judged by components."
    )
    offers = models.JSONField(default=list)
    status = models.CharField(max_length=16, choices=OrderStatus.choices, default=OrderStatus.PAID)
    source = models.CharField(max_length=32, default="checkout")
    cancelled_at = models.DateTimeField(null=True, blank=True)
    is_withdrawn = models.BooleanField(db_default=False, help_text="Cancelled after it was paid: it had counted.")
    excluded_as = excluded_mark()
    recorded_at = models.DateTimeField()
    revised_at = models.DateTimeField(help_text="Last change of what counts; equals recorded_at at first.")
    content_digest = models.UUIDField()

    class Meta:
        db_table = "catalog_checkout_orders"
        ordering = ["-placed_at"]
        indexes = [
            models.Index(fields=["unit", "placed_at"], name="order_unit_placed"),
            models.Index(fields=["placed_at"], name="order_placed"),
            models.Index(fields=["revised_at"], name="order_revised"),
            models.Index(fields=["placed_at"], condition=models.Q(excluded_as__isnull=False), name="order_excluded"),
        ]
        constraints = [
            # Here, not at the field: that would bring an index for LIKE as well.
            models.UniqueConstraint(fields=["order_ref"], name="order_ref_unique"),
            models.CheckConstraint(condition=models.Q(status__in=OrderStatus.values), name="order_status_known"),
            models.CheckConstraint(condition=models.Q(currency__regex=r"^[A-Z]{3}$"), name="order_currency_iso"),
            models.CheckConstraint(condition=models.Q(refunded_minor__gte=0), name="order_refund_positive"),
            models.CheckConstraint(
                condition=models.Q(status=OrderStatus.CANCELLED, cancelled_at__isnull=False)
                | (~models.Q(status=OrderStatus.CANCELLED) & models.Q(cancelled_at__isnull=True)),
                name="order_cancelled_at_agrees",
            ),
        ]

    def __str__(self) -> str:
        """Name the order by the shop's reference."""
        return self.order_ref


class OrderOutcome(models.Model):
    """An order with a bundle's anchor product took the bundle or did not: decided at intake, as the bundle was then.

    The database does not enforce the foreign keys row by row, which costs as much as storing them does: intake, the
    only writer, locks both for the whole batch.
    """

    id = time_ordered_key()
    order = models.ForeignKey(
        Order, on_delete=models.CASCADE, related_name="outcomes", db_index=False, db_constraint=False
    )
    bundle = models.ForeignKey(Bundle, on_delete=models.PROTECT, related_name="outcomes", db_constraint=False)
    accepted = models.BooleanField()
    is_withdrawn = models.BooleanField(db_default=False, help_text="Accepted at first, until a part came back.")

    class Meta:
        db_table = "catalog_bundle_order_outcomes"
        constraints = [models.UniqueConstraint(fields=["order", "bundle"], name="order_outcome_order_bundle")]

    def __str__(self) -> str:
        """Say what the order did with the bundle."""
        return f"{self.order_id} {'took' if self.accepted else 'left'} {self.bundle_id}"
