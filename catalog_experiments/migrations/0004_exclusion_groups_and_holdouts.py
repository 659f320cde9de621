"""Exclusion groups with their ranges, and holdouts.

The former text column `exclusion_group` could not be set by anything, so it is replaced, not converted.
"""

import django.core.validators
import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models

import catalog_experiments.models.exclusion
import catalog_experiments.models.fields


class Migration(migrations.Migration):
    dependencies = [("catalog_experiments", "0003_append_only_history")]

    operations = [
        migrations.CreateModel(
            name="ExclusionGroup",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=catalog_experiments.models.fields.time_ordered_id,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                (
                    "slug",
                    models.CharField(
                        max_length=150,
                        unique=True,
                        validators=[
                            django.core.validators.RegexValidator(
                                "^[a-z0-9]+(?:[-_][a-z0-9]+)*\\Z",
                                code="slug_not_path_safe",
                                message="Use lower-case letters, digits, - and _ only, so that the slug can stand in an address.",
                            )
                        ],
                    ),
                ),
                ("name", models.CharField(max_length=200)),
                (
                    "salt",
                    models.CharField(
                        default=catalog_experiments.models.exclusion.fresh_salt, editable=False, max_length=64
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "db_table": "catalog_exclusion_groups",
                "ordering": ["slug"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("slug__regex", "^[a-z0-9]+(?:[-_][a-z0-9]+)*$")),
                        name="exclusion_group_slug_path_safe",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Holdout",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=catalog_experiments.models.fields.time_ordered_id,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                (
                    "salt",
                    models.CharField(
                        default=catalog_experiments.models.exclusion.fresh_salt, editable=False, max_length=64
                    ),
                ),
                (
                    "size",
                    models.PositiveSmallIntegerField(
                        default=0,
                        help_text="Basis points of all units: 500 is 5 %.",
                        validators=[django.core.validators.MaxValueValidator(10000)],
                    ),
                ),
                ("changed_at", models.DateTimeField(default=django.utils.timezone.now)),
                (
                    "group",
                    models.OneToOneField(
                        blank=True,
                        help_text="The group whose experiments it keeps units out of; none: the experiments of the whole shop.",
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="holdout",
                        to="catalog_experiments.exclusiongroup",
                    ),
                ),
            ],
            options={
                "db_table": "catalog_holdouts",
                "ordering": ["group__slug"],
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("size__lte", 10000)), name="holdout_size_range"),
                    models.UniqueConstraint(fields=("group",), name="holdout_one_a_group", nulls_distinct=False),
                ],
            },
        ),
        migrations.RemoveField(model_name="experiment", name="exclusion_group"),
        migrations.AddField(
            model_name="experiment",
            name="exclusion_group",
            field=models.ForeignKey(
                blank=True,
                db_column="exclusion_group",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="experiments",
                to="catalog_experiments.exclusiongroup",
                to_field="slug",
            ),
        ),
        migrations.AddField(
            model_name="experiment",
            name="exclusion_start",
            field=models.PositiveSmallIntegerField(default=0, help_text="First bucket of the group's 10,000."),
        ),
        migrations.AddField(
            model_name="experiment",
            name="exclusion_end",
            field=models.PositiveSmallIntegerField(default=10000, help_text="First bucket past the range."),
        ),
        migrations.AddConstraint(
            model_name="experiment",
            constraint=models.CheckConstraint(
                condition=models.Q(("exclusion_end__lte", 10000), ("exclusion_start__lt", models.F("exclusion_end"))),
                name="experiment_exclusion_range",
            ),
        ),
    ]
