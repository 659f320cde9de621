"""Who may meet an experiment at all: exclusion groups that share out the traffic, and holdouts that keep some back."""

import secrets

from django.core.validators import MaxValueValidator
from django.db import models
from django.utils import timezone

from catalog_experiments.models.fields import PATH_SAFE_SLUG, time_ordered_key


def fresh_salt() -> str:
    """Return sixteen random hexadecimal digits, unrelated to every other salt."""
    return secrets.token_hex(8)


class ExclusionGroup(models.Model):
    """Experiments that must not meet the same unit: each takes a range of the group's own 10,000 buckets.

    The salt never changes (the database refuses), so a unit keeps its bucket for as long as the group exists.
    """

    id = time_ordered_key()
    slug = models.CharField(max_length=150, unique=True, validators=[PATH_SAFE_SLUG])
    name = models.CharField(max_length=200)
    salt = models.CharField(max_length=64, default=fresh_salt, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "catalog_exclusion_groups"
        ordering = ["slug"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(slug__regex=r"^[a-z0-9]+(?:[-_][a-z0-9]+)*$"), name="exclusion_group_slug_path_safe"
            ),
        ]

    def __str__(self) -> str:
        """Name the group."""
        return self.name


class Holdout(models.Model):
    """Units kept out of experiments: buckets `[0, size)` of an own salt, of one group's experiments or of all.

    A held-out unit sees the control. `changed_at` is when the size last changed: claims about the time before it
    cannot be checked, since only the present size is kept. The salt never changes (the database refuses), so raising
    the size only adds units.
    """

    id = time_ordered_key()
    group = models.OneToOneField(
        ExclusionGroup,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="holdout",
        help_text="The group whose experiments it keeps units out of; none: the experiments of the whole shop.",
    )
    salt = models.CharField(max_length=64, default=fresh_salt, editable=False)
    size = models.PositiveSmallIntegerField(
        default=0, validators=[MaxValueValidator(10_000)], help_text="Basis points of all units: 500 is 5 %."
    )
    changed_at = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "catalog_holdouts"
        ordering = ["group__slug"]
        constraints = [
            models.CheckConstraint(condition=models.Q(size__lte=10_000), name="holdout_size_range"),
            models.UniqueConstraint(fields=["group"], nulls_distinct=False, name="holdout_one_a_group"),
        ]

    def __str__(self) -> str:
        """Name the holdout by what it holds units out of."""
        return f"Holdout of {self.group}" if self.group else "Holdout of the whole shop"
