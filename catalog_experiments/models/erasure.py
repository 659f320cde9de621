"""Who asked to be forgotten, as far as that must be remembered: a digest to refuse, and a count where sums stay."""

from django.db import models

from catalog_experiments.models.fields import time_ordered_key
from catalog_experiments.models.phase import Phase


class ErasedUnit(models.Model):
    """A tombstone: nothing may ever be stored of this unit again. The digest is all there is, under the newest key.

    Intake reads this table before it writes, in the same transaction; an erasure locks it against such readers.
    Between them no report in flight survives its unit.
    """

    digest = models.UUIDField(primary_key=True, editable=False)
    erased_at = models.DateTimeField()

    class Meta:
        db_table = "catalog_erased_units"
        ordering = ["-erased_at"]

    def __str__(self) -> str:
        """Name the tombstone by its digest."""
        return str(self.digest)


class ErasedCohort(models.Model):
    """How many units of a day were erased, and what they had added: its sums stand, and are counted with these.

    The day is a cohort day of the phase; without a phase, a day on which units placed orders. `sums` adds up all units
    erased of the day and names none: of a cohort day `cohorts`, the columns of its rows by variant, segment and
    currency, and `tallies` by variant and hour of the order; of a day of orders `hours`, by bundle, as bundle
    acceptance counts them.
    """

    id = time_ordered_key()
    phase = models.ForeignKey(
        Phase, null=True, blank=True, on_delete=models.CASCADE, related_name="erased_cohorts", db_index=False
    )
    cohort_date = models.DateField()
    unit_count = models.PositiveIntegerField()
    sums = models.JSONField(default=dict)

    class Meta:
        db_table = "catalog_erased_cohorts"
        ordering = ["phase", "cohort_date"]
        constraints = [
            models.UniqueConstraint(fields=["phase", "cohort_date"], nulls_distinct=False, name="erased_cohort_key")
        ]

    def __str__(self) -> str:
        """Say how many left which day."""
        return f"{self.unit_count} erased of {self.cohort_date}"
