"""What the units first met on one day did: kept as sums for good, and unit by unit while their windows are open."""

from django.db import models

from catalog_experiments.models.fields import time_ordered_key
from catalog_experiments.models.phase import Phase

HOURLY = "hour:"
"""Begins the segment of a cohort day's units by the UTC hour of their exposure: 'hour:00' to 'hour:23'."""


def _sum() -> "models.DecimalField[int, int]":
    return models.DecimalField(max_digits=40, decimal_places=0, default=0)


class Cohort(models.Model):
    """The units that first met a variant on one UTC day, in a segment ('' for all): counted, and summed what they did.

    Sums are over uncut units (those of the first day: over units served for 24 hours), money in minor units of the
    phase's currency; a row with a `currency` holds the revenue of orders in another one and nothing else. `x` is a
    unit's capped revenue of the 28 days before. In `history:returning` only units with orders before are summed. Of
    phases in which a drop is judged the youngest days are told by the hour of the exposure too, `hour:00` to
    `hour:23`: for guardrails alone, until the whole day may be judged. From these rows the moments are read; two rows
    of one variant merge by addition.
    """

    id = time_ordered_key()
    phase = models.ForeignKey(Phase, on_delete=models.CASCADE, related_name="cohorts", db_index=False)
    variant_key = models.CharField(max_length=100)
    cohort_date = models.DateField()
    segment = models.CharField(max_length=120, blank=True, default="")
    currency = models.CharField(max_length=3, blank=True, default="")

    exposed = models.BigIntegerField(default=0, help_text="Units that count, cut ones included.")
    uncut = models.BigIntegerField(default=0, help_text="Those whose whole window was served.")
    uncut_day = models.BigIntegerField(default=0, help_text="Those whose first 24 hours were served.")
    mixed = models.BigIntegerField(default=0)
    faulty = models.BigIntegerField(default=0)
    merged = models.BigIntegerField(default=0)
    holdout = models.BigIntegerField(default=0)
    bots = models.BigIntegerField(default=0)
    staff = models.BigIntegerField(default=0)
    tests = models.BigIntegerField(default=0)

    known = models.BigIntegerField(default=0, help_text="Uncut units with an order before or in their window.")
    revised = models.BigIntegerField(default=0, help_text="Units with a counted order that was changed afterwards.")
    uncosted = models.BigIntegerField(default=0, help_text="Uncut units with an order of which a cost is unknown.")
    x = _sum()
    x_squares = _sum()
    revenue = _sum()
    revenue_squares = _sum()
    revenue_x = _sum()
    raw_revenue = _sum()
    raw_revenue_squares = _sum()
    margin = _sum()
    margin_squares = _sum()
    margin_x = _sum()
    raw_margin = _sum()
    raw_margin_squares = _sum()
    bought = _sum()
    bought_x = _sum()
    took = _sum()
    took_x = _sum()
    own_orders = _sum()
    own_orders_squares = _sum()
    revenue_own_orders = _sum()
    orders = _sum()
    orders_squares = _sum()
    pieces = _sum()
    pieces_squares = _sum()
    pieces_orders = _sum()
    alone = _sum()
    alone_squares = _sum()
    bundled = _sum()
    bundled_squares = _sum()
    alone_bundled = _sum()
    day_bought = _sum()
    day_took = _sum()
    day_revenue = _sum()
    day_revenue_squares = _sum()

    class Meta:
        db_table = "catalog_bundle_experiment_cohorts"
        constraints = [
            models.UniqueConstraint(
                fields=["phase", "cohort_date", "variant_key", "segment", "currency"], name="cohort_key"
            ),
            models.CheckConstraint(
                condition=models.Q(uncut__gte=0, uncut__lte=models.F("exposed")), name="cohort_uncut_range"
            ),
        ]

    def __str__(self) -> str:
        """Name the row by variant and day."""
        return f"{self.variant_key} on {self.cohort_date}"


class OpenUnit(models.Model):
    """What one unit adds to the sums of its cohort, as long as news of it is likely: with it a change is a difference.

    Only units with an order, before or in their window, of cohort days since the cursor's `open_from`. Amounts are in
    minor units of the phase's currency, capped ones and raw. `net_at` and `gross_at` are when its first eligible
    order was placed, as things are and as if nothing had been cancelled. A unit that left after its outcome had
    counted stays with that revision, and zeros. The database does not enforce the foreign key:
    a check per row would double what it costs to write them.
    """

    pk = models.CompositePrimaryKey("phase_id", "unit")
    phase = models.ForeignKey(Phase, on_delete=models.CASCADE, related_name="+", db_index=False, db_constraint=False)
    unit = models.UUIDField()
    variant_key = models.CharField(max_length=100)
    cohort_date = models.DateField()
    cohort_hour = models.PositiveSmallIntegerField(
        null=True, help_text="The UTC hour of its exposure; null in a phase in which no drop is judged."
    )
    is_uncut = models.BooleanField()
    is_uncut_day = models.BooleanField()
    device = models.CharField(max_length=100, null=True)  # noqa: DJ001 - null: not told apart, '' is a name
    country = models.CharField(max_length=100, null=True)  # noqa: DJ001 - as device
    is_returning = models.BooleanField()
    is_revised = models.BooleanField()
    is_costed = models.BooleanField()
    x = models.BigIntegerField()
    revenue = models.BigIntegerField()
    raw_revenue = models.BigIntegerField()
    day_revenue = models.BigIntegerField()
    margin = models.BigIntegerField()
    raw_margin = models.BigIntegerField()
    bought = models.BigIntegerField()
    took = models.BigIntegerField()
    day_bought = models.BigIntegerField()
    day_took = models.BigIntegerField()
    own_orders = models.BigIntegerField()
    orders = models.BigIntegerField()
    pieces = models.BigIntegerField()
    alone = models.BigIntegerField()
    bundled = models.BigIntegerField()
    foreign_revenue = models.JSONField(null=True)
    net_at = models.DateTimeField(null=True)
    net_accepted = models.BigIntegerField()
    gross_at = models.DateTimeField(null=True)
    gross_accepted = models.BigIntegerField()
    first_at = models.DateTimeField(null=True, help_text="When its first eligible order was placed, if it left too.")
    revisions = models.BigIntegerField(db_default=0, help_text="How often its outcome changed or left.")

    class Meta:
        db_table = "catalog_bundle_experiment_open_units"

    def __str__(self) -> str:
        """Name the row by unit."""
        return f"{self.unit} of {self.phase_id}"
