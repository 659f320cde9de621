"""The tables of the subject, but for the partitioned exposures."""

import catalog_experiments.models.fields
import django.core.validators
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("django_celery_beat", "0019_alter_periodictasks_options"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="JobLease",
            fields=[
                ("job", models.CharField(max_length=200, primary_key=True, serialize=False)),
                ("owner", models.CharField(blank=True, max_length=200)),
                ("token", models.PositiveBigIntegerField(default=0)),
                ("expires_at", models.DateTimeField()),
            ],
            options={
                "db_table": "catalog_job_leases",
            },
        ),
        migrations.CreateModel(
            name="PublishedDocument",
            fields=[
                ("version", models.PositiveBigIntegerField(primary_key=True, serialize=False)),
                ("document", models.JSONField()),
                ("etag", models.CharField(max_length=64)),
                ("issued_at", models.DateTimeField()),
            ],
            options={
                "db_table": "catalog_published_documents",
                "ordering": ["-version"],
            },
        ),
        migrations.CreateModel(
            name="ApiKey",
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
                ("name", models.CharField(max_length=100, unique=True)),
                (
                    "kind",
                    models.CharField(
                        choices=[("server", "Server"), ("client", "Client (public)")], default="server", max_length=16
                    ),
                ),
                ("prefix", models.CharField(max_length=16)),
                ("secret_digest", models.CharField(max_length=64, unique=True)),
                ("scopes", models.JSONField(default=list)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("expires_at", models.DateTimeField(blank=True, null=True)),
                ("revoked_at", models.DateTimeField(blank=True, null=True)),
                ("last_used_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "db_table": "catalog_api_keys",
                "ordering": ["name"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("kind__in", ["server", "client"])), name="api_key_kind_known"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Bundle",
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
                    "bundle_slug",
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
                ("primary_product_slug", models.CharField(db_index=True, max_length=150)),
                ("title", models.CharField(max_length=200)),
                ("description", models.TextField(blank=True)),
                ("savings_copy", models.CharField(blank=True, max_length=200)),
                (
                    "cms_priority",
                    models.PositiveSmallIntegerField(
                        default=100,
                        help_text="0 to 200; the lower, the more prominent.",
                        validators=[
                            django.core.validators.MinValueValidator(0),
                            django.core.validators.MaxValueValidator(200),
                        ],
                    ),
                ),
                ("components", models.JSONField(default=list, help_text='List of {"slug": ..., "quantity": ...}.')),
                (
                    "price_minor",
                    models.BigIntegerField(blank=True, help_text="Bundle price in minor units (cents).", null=True),
                ),
                (
                    "cost_minor",
                    models.BigIntegerField(blank=True, help_text="Cost of the bundle in minor units.", null=True),
                ),
                ("currency", models.CharField(default="EUR", max_length=3)),
                ("is_active", models.BooleanField(default=True)),
                (
                    "stock_state",
                    models.CharField(
                        choices=[
                            ("unknown", "Unknown"),
                            ("in_stock", "In stock"),
                            ("low", "Low"),
                            ("out_of_stock", "Out of stock"),
                        ],
                        default="unknown",
                        max_length=16,
                    ),
                ),
                ("cms_override", models.JSONField(blank=True, default=dict)),
                ("metadata", models.JSONField(blank=True, default=dict)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
            ],
            options={
                "db_table": "catalog_bundles",
                "ordering": ["-created_at"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("cms_priority__lte", 200)), name="bundle_priority_range"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("price_minor__isnull", True), ("price_minor__gte", 0), _connector="OR"),
                        name="bundle_price_positive",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("cost_minor__isnull", True), ("cost_minor__gte", 0), _connector="OR"),
                        name="bundle_cost_positive",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("currency__regex", "^[A-Z]{3}$")), name="bundle_currency_iso"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("stock_state__in", ["unknown", "in_stock", "low", "out_of_stock"])),
                        name="bundle_stock_state_known",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Experiment",
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
                ("description", models.TextField(blank=True, max_length=500)),
                ("hypothesis", models.TextField(blank=True)),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("draft", "Draft"),
                            ("running", "Running"),
                            ("paused", "Paused"),
                            ("completed", "Completed"),
                        ],
                        default="draft",
                        max_length=16,
                    ),
                ),
                (
                    "unit_kind",
                    models.CharField(
                        choices=[("visitor", "Visitor"), ("customer", "Customer")], default="visitor", max_length=16
                    ),
                ),
                (
                    "primary_metric",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("margin", "Margin per visitor"),
                            ("revenue", "Revenue per visitor"),
                            ("conversion", "Conversion"),
                        ],
                        help_text="Left blank: margin when every cost is known at publish, else revenue.",
                        max_length=16,
                    ),
                ),
                ("guardrail_config", models.JSONField(blank=True, default=dict)),
                (
                    "sample_size_guardrail",
                    models.PositiveIntegerField(
                        default=0, validators=[django.core.validators.MaxValueValidator(1000000)]
                    ),
                ),
                (
                    "coverage",
                    models.PositiveSmallIntegerField(
                        default=10000,
                        help_text="Basis points of all units: 10,000 is all.",
                        validators=[django.core.validators.MaxValueValidator(10000)],
                    ),
                ),
                (
                    "attribution_window_days",
                    models.PositiveSmallIntegerField(
                        default=7, validators=[django.core.validators.MinValueValidator(1)]
                    ),
                ),
                (
                    "planned_sample_size",
                    models.PositiveIntegerField(
                        blank=True,
                        help_text="Complete units per variant at which the final verdict is computed.",
                        null=True,
                    ),
                ),
                ("scheduled_start_at", models.DateTimeField(blank=True, null=True)),
                ("scheduled_end_at", models.DateTimeField(blank=True, null=True)),
                ("ramp_plan", models.JSONField(blank=True, default=list)),
                ("exclusion_group", models.CharField(blank=True, max_length=150)),
                ("targeting", models.JSONField(blank=True, default=dict)),
                (
                    "forced_units",
                    models.JSONField(
                        blank=True, default=dict, help_text="Unit id to variant key, for QA; never counted."
                    ),
                ),
                ("pending_changes", models.JSONField(blank=True, default=dict)),
                ("started_at", models.DateTimeField(blank=True, null=True)),
                ("published_at", models.DateTimeField(blank=True, null=True)),
                ("paused_at", models.DateTimeField(blank=True, null=True)),
                (
                    "pause_cause",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("", "Not paused"),
                            ("person", "A person"),
                            ("breached", "Guardrail evidence"),
                            ("outage", "Outage"),
                            ("schedule", "Schedule"),
                        ],
                        default="",
                        max_length=16,
                    ),
                ),
                ("pause_reason", models.TextField(blank=True)),
                ("completed_at", models.DateTimeField(blank=True, null=True)),
                (
                    "conclusion",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("", "Not stated"),
                            ("won", "Won"),
                            ("lost", "Lost"),
                            ("inconclusive", "Inconclusive"),
                            ("stopped_early", "Stopped early"),
                            ("invalid", "Invalid"),
                        ],
                        default="",
                        max_length=16,
                    ),
                ),
                ("learnings", models.TextField(blank=True)),
                (
                    "final_report",
                    models.JSONField(
                        blank=True, default=list, help_text="Revisions of the frozen report, oldest first."
                    ),
                ),
                ("metadata", models.JSONField(blank=True, default=dict)),
                ("lock_version", models.PositiveIntegerField(default=0)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                (
                    "owner",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="owned_experiments",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "db_table": "catalog_bundle_experiments",
                "ordering": ["-created_at"],
                "permissions": [
                    ("publish_experiment", "Can publish and resume experiments"),
                    ("pause_experiment", "Can pause experiments"),
                    ("complete_experiment", "Can complete experiments"),
                ],
            },
        ),
        migrations.CreateModel(
            name="JobRun",
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
                ("job", models.CharField(max_length=100)),
                ("slot_at", models.DateTimeField()),
                ("trigger", models.CharField(default="schedule", max_length=32)),
                ("attempts", models.PositiveSmallIntegerField(default=0)),
                ("started_at", models.DateTimeField()),
                ("finished_at", models.DateTimeField(blank=True, null=True)),
                (
                    "outcome",
                    models.CharField(
                        choices=[
                            ("running", "Running"),
                            ("done", "Done"),
                            ("skipped", "Skipped"),
                            ("failed", "Failed"),
                            ("dead", "Given up"),
                        ],
                        default="running",
                        max_length=16,
                    ),
                ),
                ("counts", models.JSONField(blank=True, default=dict)),
                ("error", models.TextField(blank=True)),
                ("watermark_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "db_table": "catalog_job_runs",
                "ordering": ["-slot_at"],
                "indexes": [models.Index(fields=["job", "-started_at"], name="job_run_started")],
                "constraints": [
                    models.UniqueConstraint(fields=("job", "slot_at"), name="job_run_slot"),
                    models.CheckConstraint(
                        condition=models.Q(("outcome__in", ["running", "done", "skipped", "failed", "dead"])),
                        name="job_run_outcome_known",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Order",
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
                ("order_ref", models.CharField(max_length=150, unique=True)),
                ("unit", models.UUIDField(blank=True, null=True)),
                ("placed_at", models.DateTimeField()),
                ("revenue_minor", models.BigIntegerField(help_text="Sum over all lines, minor units.")),
                (
                    "margin_minor",
                    models.BigIntegerField(blank=True, help_text="Null when a cost is unknown.", null=True),
                ),
                ("refunded_minor", models.BigIntegerField(default=0)),
                ("currency", models.CharField(max_length=3)),
                ("lines", models.JSONField(default=list)),
                (
                    "accepted_bundles",
                    models.JSONField(blank=True, help_text="Named by the shop; null: judged by components.", null=True),
                ),
                ("offers", models.JSONField(default=list)),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("pending", "Pending"),
                            ("paid", "Paid"),
                            ("confirmed", "Confirmed"),
                            ("cancelled", "Cancelled"),
                        ],
                        default="paid",
                        max_length=16,
                    ),
                ),
                ("source", models.CharField(default="checkout", max_length=32)),
                ("cancelled_at", models.DateTimeField(blank=True, null=True)),
                ("recorded_at", models.DateTimeField()),
                (
                    "revised_at",
                    models.DateTimeField(help_text="Last change of what counts; equals recorded_at at first."),
                ),
                ("content_digest", models.UUIDField()),
            ],
            options={
                "db_table": "catalog_checkout_orders",
                "ordering": ["-placed_at"],
                "indexes": [
                    models.Index(fields=["unit", "placed_at"], name="order_unit_placed"),
                    models.Index(fields=["placed_at"], name="order_placed"),
                    models.Index(fields=["revised_at"], name="order_revised"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("status__in", ["pending", "paid", "confirmed", "cancelled"])),
                        name="order_status_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("currency__regex", "^[A-Z]{3}$")), name="order_currency_iso"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("refunded_minor__gte", 0)), name="order_refund_positive"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("cancelled_at__isnull", False), ("status", "cancelled")),
                            models.Q(models.Q(("status", "cancelled"), _negated=True), ("cancelled_at__isnull", True)),
                            _connector="OR",
                        ),
                        name="order_cancelled_at_agrees",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Phase",
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
                ("number", models.PositiveSmallIntegerField()),
                ("salt", models.CharField(max_length=64)),
                ("opened_at", models.DateTimeField()),
                ("closed_at", models.DateTimeField(blank=True, null=True)),
                ("reason", models.TextField(blank=True)),
                ("variants", models.JSONField(default=list)),
                ("anchor_product_slug", models.CharField(blank=True, max_length=150)),
                ("bounds", models.JSONField(default=dict)),
                ("alpha", models.FloatField(default=0.05)),
                ("minimum_sample", models.PositiveIntegerField(default=0)),
                ("caps", models.JSONField(default=dict)),
                ("window_days", models.PositiveSmallIntegerField(default=7)),
                (
                    "primary_metric",
                    models.CharField(
                        choices=[
                            ("margin", "Margin per visitor"),
                            ("revenue", "Revenue per visitor"),
                            ("conversion", "Conversion"),
                        ],
                        default="revenue",
                        max_length=16,
                    ),
                ),
                ("currency", models.CharField(blank=True, max_length=3)),
                ("planned_sample_size", models.PositiveIntegerField(blank=True, null=True)),
                (
                    "unserved_spans",
                    models.JSONField(
                        default=list,
                        help_text="Pauses inside the phase as [from, to or null] in ISO 8601: units meeting one are cut.",
                    ),
                ),
                (
                    "origin",
                    models.CharField(
                        choices=[("published", "Published"), ("imported", "Imported"), ("seeded", "Seeded for QA")],
                        default="published",
                        max_length=16,
                    ),
                ),
                (
                    "experiment",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="phases",
                        to="catalog_experiments.experiment",
                    ),
                ),
            ],
            options={
                "db_table": "catalog_bundle_experiment_phases",
                "ordering": ["experiment", "number"],
            },
        ),
        migrations.CreateModel(
            name="AggregationCursor",
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
                ("product", models.CharField(choices=[("moments", "Moments"), ("tallies", "Tallies")], max_length=16)),
                ("recorded_to", models.DateTimeField(null=True)),
                ("served_spans", models.JSONField(default=list)),
                (
                    "phase",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="cursors",
                        to="catalog_experiments.phase",
                    ),
                ),
            ],
            options={
                "db_table": "catalog_bundle_experiment_cursors",
                "constraints": [
                    models.UniqueConstraint(fields=("phase", "product"), name="aggregation_cursor_phase_product"),
                    models.CheckConstraint(
                        condition=models.Q(("product__in", ["moments", "tallies"])),
                        name="aggregation_cursor_product_known",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Moment",
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
                ("variant_key", models.CharField(max_length=100)),
                ("cohort_date", models.DateField()),
                (
                    "metric",
                    models.CharField(
                        choices=[
                            ("revenue", "Revenue per visitor"),
                            ("margin", "Margin per visitor"),
                            ("conversion", "Conversion"),
                            ("take_rate", "Take rate"),
                            ("harm", "Conversion within 24 hours"),
                        ],
                        max_length=16,
                    ),
                ),
                ("segment", models.CharField(blank=True, default="", max_length=100)),
                ("currency", models.CharField(blank=True, default="", max_length=3)),
                ("n", models.BigIntegerField()),
                ("total", models.DecimalField(decimal_places=0, max_digits=40)),
                ("total_squares", models.DecimalField(decimal_places=0, max_digits=40)),
                ("covariate_total", models.DecimalField(decimal_places=0, default=0, max_digits=40)),
                ("covariate_total_squares", models.DecimalField(decimal_places=0, default=0, max_digits=40)),
                ("cross_total", models.DecimalField(decimal_places=0, default=0, max_digits=40)),
                (
                    "experiment",
                    models.ForeignKey(
                        db_index=False, on_delete=django.db.models.deletion.CASCADE, to="catalog_experiments.experiment"
                    ),
                ),
                (
                    "phase",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="moments",
                        to="catalog_experiments.phase",
                    ),
                ),
            ],
            options={
                "db_table": "catalog_bundle_experiment_moments",
            },
        ),
        migrations.CreateModel(
            name="GuardrailTally",
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
                ("variant_key", models.CharField(max_length=100)),
                ("outcome_hour_at", models.DateTimeField()),
                ("n", models.BigIntegerField()),
                ("accepted", models.BigIntegerField()),
                ("gross_n", models.BigIntegerField()),
                ("gross_accepted", models.BigIntegerField()),
                (
                    "experiment",
                    models.ForeignKey(
                        db_index=False, on_delete=django.db.models.deletion.CASCADE, to="catalog_experiments.experiment"
                    ),
                ),
                (
                    "phase",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="tallies",
                        to="catalog_experiments.phase",
                    ),
                ),
            ],
            options={
                "db_table": "catalog_bundle_experiment_guardrail_tallies",
            },
        ),
        migrations.CreateModel(
            name="GuardrailEvaluation",
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
                ("sequence", models.PositiveBigIntegerField(unique=True)),
                ("evaluated_at", models.DateTimeField()),
                ("watermark_at", models.DateTimeField()),
                ("trigger", models.CharField(max_length=32)),
                ("inputs", models.JSONField()),
                ("inputs_digest", models.CharField(max_length=64)),
                ("verdict", models.CharField(help_text="The gravest of all variants.", max_length=16)),
                ("verdicts", models.JSONField()),
                (
                    "action",
                    models.CharField(
                        choices=[
                            ("none", "Nothing"),
                            ("paused", "Paused"),
                            ("alerted", "Alerted"),
                            ("would_pause", "Would have paused (shadow)"),
                            ("superseded", "Superseded"),
                        ],
                        max_length=16,
                    ),
                ),
                ("rule_version", models.CharField(max_length=32)),
                ("previous_hash", models.CharField(blank=True, max_length=64)),
                ("record_hash", models.CharField(max_length=64, unique=True)),
                (
                    "experiment",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="evaluations",
                        to="catalog_experiments.experiment",
                    ),
                ),
                (
                    "phase",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="evaluations",
                        to="catalog_experiments.phase",
                    ),
                ),
            ],
            options={
                "db_table": "catalog_bundle_experiment_guardrail_evaluations",
                "ordering": ["-sequence"],
            },
        ),
        migrations.AddField(
            model_name="experiment",
            name="current_phase",
            field=models.ForeignKey(
                blank=True,
                editable=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="catalog_experiments.phase",
            ),
        ),
        migrations.CreateModel(
            name="ScheduleOrigin",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("job", models.CharField(max_length=100, unique=True)),
                ("file_hash", models.CharField(max_length=64)),
                ("synced_fields", models.JSONField(default=dict)),
                (
                    "task",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="origin",
                        to="django_celery_beat.periodictask",
                    ),
                ),
            ],
            options={
                "db_table": "catalog_schedule_origins",
            },
        ),
        migrations.CreateModel(
            name="Variant",
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
                    "key",
                    models.CharField(
                        max_length=100,
                        validators=[
                            django.core.validators.RegexValidator(
                                "^[a-z0-9]+(?:[-_][a-z0-9]+)*\\Z",
                                code="slug_not_path_safe",
                                message="Use lower-case letters, digits, - and _ only, so that the slug can stand in an address.",
                            )
                        ],
                    ),
                ),
                ("name", models.CharField(max_length=150)),
                (
                    "weight",
                    models.PositiveSmallIntegerField(
                        default=0, validators=[django.core.validators.MaxValueValidator(10000)]
                    ),
                ),
                ("is_control", models.BooleanField(default=False)),
                ("override_payload", models.JSONField(blank=True, default=dict)),
                ("position", models.PositiveSmallIntegerField(default=0)),
                ("metadata", models.JSONField(blank=True, default=dict)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                (
                    "bundle",
                    models.ForeignKey(
                        blank=True,
                        db_column="bundle_slug",
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="variants",
                        to="catalog_experiments.bundle",
                        to_field="bundle_slug",
                    ),
                ),
                (
                    "experiment",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="variants",
                        to="catalog_experiments.experiment",
                    ),
                ),
            ],
            options={
                "db_table": "catalog_bundle_experiment_variants",
                "ordering": ["-is_control", "position", "key"],
            },
        ),
        migrations.CreateModel(
            name="OverridePublication",
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
                ("variant_key", models.CharField(max_length=100)),
                ("bundle_slug", models.CharField(blank=True, max_length=150)),
                ("payload", models.JSONField(default=dict)),
                ("is_rollback", models.BooleanField(default=False)),
                ("provenance", models.CharField(default="catalog-experiment-service", max_length=64)),
                ("active_from_at", models.DateTimeField()),
                ("active_to_at", models.DateTimeField(blank=True, null=True)),
                (
                    "experiment",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="override_publications",
                        to="catalog_experiments.experiment",
                    ),
                ),
                (
                    "phase",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="override_publications",
                        to="catalog_experiments.phase",
                    ),
                ),
                (
                    "variant",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="override_publications",
                        to="catalog_experiments.variant",
                    ),
                ),
            ],
            options={
                "db_table": "catalog_bundle_override_publications",
                "ordering": ["-active_from_at"],
            },
        ),
        migrations.AddField(
            model_name="experiment",
            name="winner",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to="catalog_experiments.variant",
            ),
        ),
        migrations.CreateModel(
            name="VariantMetric",
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
                ("window_start", models.DateField(help_text="The UTC day the row is for.")),
                (
                    "lookback_days",
                    models.PositiveIntegerField(default=30, help_text="Days since the phase opened, at least 1."),
                ),
                ("acceptance_rate", models.DecimalField(decimal_places=4, default=0, max_digits=6)),
                ("acceptance_count", models.PositiveBigIntegerField(default=0)),
                ("sample_size", models.PositiveBigIntegerField(default=0)),
                ("exposed_count", models.PositiveBigIntegerField(default=0)),
                ("lift_vs_control", models.DecimalField(blank=True, decimal_places=4, max_digits=14, null=True)),
                ("lift_lower", models.DecimalField(blank=True, decimal_places=4, max_digits=14, null=True)),
                ("lift_upper", models.DecimalField(blank=True, decimal_places=4, max_digits=14, null=True)),
                ("lift_reason", models.CharField(blank=True, max_length=100)),
                ("guardrail_breached", models.BooleanField(default=False)),
                ("breach_reasons", models.JSONField(blank=True, default=list)),
                ("computed_at", models.DateTimeField()),
                ("watermark_at", models.DateTimeField(help_text="Facts recorded before this moment are counted.")),
                ("metadata", models.JSONField(blank=True, default=dict)),
                (
                    "experiment",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="metrics",
                        to="catalog_experiments.experiment",
                    ),
                ),
                (
                    "phase",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="metrics",
                        to="catalog_experiments.phase",
                    ),
                ),
                (
                    "variant",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="metrics",
                        to="catalog_experiments.variant",
                    ),
                ),
            ],
            options={
                "db_table": "catalog_bundle_experiment_metrics",
                "ordering": ["-window_start", "-computed_at"],
            },
        ),
        migrations.CreateModel(
            name="BundleAcceptanceMetric",
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
                ("lookback_days", models.PositiveSmallIntegerField(default=30)),
                ("acceptance_rate", models.DecimalField(decimal_places=4, default=0, max_digits=6)),
                ("acceptance_count", models.PositiveBigIntegerField(default=0)),
                ("sample_size", models.PositiveBigIntegerField(default=0)),
                ("last_accepted_at", models.DateTimeField(blank=True, null=True)),
                ("computed_at", models.DateTimeField()),
                ("metadata", models.JSONField(blank=True, default=dict)),
                (
                    "bundle",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="acceptance_metrics",
                        to="catalog_experiments.bundle",
                    ),
                ),
            ],
            options={
                "db_table": "catalog_bundle_acceptance_metrics",
                "ordering": ["bundle", "lookback_days"],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("bundle", "lookback_days"), name="acceptance_metric_bundle_lookback"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("acceptance_rate__gte", 0), ("acceptance_rate__lte", 1)),
                        name="acceptance_metric_rate_range",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("acceptance_count__lte", models.F("sample_size"))),
                        name="acceptance_metric_count_in_sample",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("lookback_days__gte", 1)), name="acceptance_metric_lookback_positive"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="ExperimentEvent",
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
                ("experiment_slug", models.CharField(max_length=150)),
                ("occurred_at", models.DateTimeField()),
                ("actor", models.CharField(max_length=200)),
                ("action", models.CharField(max_length=50)),
                ("reason", models.TextField(blank=True)),
                ("before", models.JSONField(default=dict)),
                ("after", models.JSONField(default=dict)),
                (
                    "experiment",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="events",
                        to="catalog_experiments.experiment",
                    ),
                ),
            ],
            options={
                "db_table": "catalog_bundle_experiment_events",
                "ordering": ["-occurred_at", "-id"],
                "indexes": [models.Index(fields=["experiment", "-occurred_at"], name="event_experiment_time")],
            },
        ),
        migrations.CreateModel(
            name="OrderOutcome",
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
                ("accepted", models.BooleanField()),
                (
                    "bundle",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="outcomes",
                        to="catalog_experiments.bundle",
                    ),
                ),
                (
                    "order",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="outcomes",
                        to="catalog_experiments.order",
                    ),
                ),
            ],
            options={
                "db_table": "catalog_bundle_order_outcomes",
                "constraints": [models.UniqueConstraint(fields=("order", "bundle"), name="order_outcome_order_bundle")],
            },
        ),
        migrations.AddConstraint(
            model_name="phase",
            constraint=models.UniqueConstraint(fields=("experiment", "number"), name="phase_experiment_number"),
        ),
        migrations.AddConstraint(
            model_name="phase",
            constraint=models.UniqueConstraint(
                condition=models.Q(("closed_at__isnull", True)), fields=("experiment",), name="phase_one_open"
            ),
        ),
        migrations.AddConstraint(
            model_name="phase",
            constraint=models.CheckConstraint(
                condition=models.Q(("alpha__gt", 0), ("alpha__lt", 1)), name="phase_alpha_range"
            ),
        ),
        migrations.AddConstraint(
            model_name="phase",
            constraint=models.CheckConstraint(
                condition=models.Q(("window_days__gte", 1)), name="phase_window_positive"
            ),
        ),
        migrations.AddConstraint(
            model_name="phase",
            constraint=models.CheckConstraint(
                condition=models.Q(("origin__in", ["published", "imported", "seeded"])), name="phase_origin_known"
            ),
        ),
        migrations.AddConstraint(
            model_name="phase",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("closed_at__isnull", True), ("closed_at__gte", models.F("opened_at")), _connector="OR"
                ),
                name="phase_closed_after_opened",
            ),
        ),
        migrations.AddConstraint(
            model_name="moment",
            constraint=models.UniqueConstraint(
                fields=("experiment", "phase", "variant_key", "cohort_date", "metric", "segment", "currency"),
                name="moment_key",
            ),
        ),
        migrations.AddConstraint(
            model_name="moment",
            constraint=models.CheckConstraint(condition=models.Q(("n__gte", 0)), name="moment_n_positive"),
        ),
        migrations.AddConstraint(
            model_name="guardrailtally",
            constraint=models.UniqueConstraint(
                fields=("experiment", "phase", "variant_key", "outcome_hour_at"), name="guardrail_tally_key"
            ),
        ),
        migrations.AddConstraint(
            model_name="guardrailtally",
            constraint=models.CheckConstraint(
                condition=models.Q(("accepted__gte", 0), ("accepted__lte", models.F("n")), ("n__gte", 0)),
                name="guardrail_tally_counts",
            ),
        ),
        migrations.AddConstraint(
            model_name="guardrailtally",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("gross_accepted__gte", 0), ("gross_accepted__lte", models.F("gross_n")), ("gross_n__gte", 0)
                ),
                name="guardrail_tally_gross",
            ),
        ),
        migrations.AddConstraint(
            model_name="guardrailevaluation",
            constraint=models.UniqueConstraint(fields=("phase", "inputs_digest"), name="evaluation_once_per_input"),
        ),
        migrations.AddConstraint(
            model_name="guardrailevaluation",
            constraint=models.CheckConstraint(
                condition=models.Q(("action__in", ["none", "paused", "alerted", "would_pause", "superseded"])),
                name="evaluation_action_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="variant",
            constraint=models.UniqueConstraint(fields=("experiment", "key"), name="variant_experiment_key"),
        ),
        migrations.AddConstraint(
            model_name="variant",
            constraint=models.UniqueConstraint(
                condition=models.Q(("is_control", True)), fields=("experiment",), name="variant_one_control"
            ),
        ),
        migrations.AddConstraint(
            model_name="variant",
            constraint=models.CheckConstraint(condition=models.Q(("weight__lte", 10000)), name="variant_weight_range"),
        ),
        migrations.AddIndex(
            model_name="experiment",
            index=models.Index(fields=["status"], name="experiment_status"),
        ),
        migrations.AddConstraint(
            model_name="experiment",
            constraint=models.CheckConstraint(
                condition=models.Q(("status__in", ["draft", "running", "paused", "completed"])),
                name="experiment_status_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="experiment",
            constraint=models.CheckConstraint(
                condition=models.Q(("slug__regex", "^[a-z0-9]+(?:[-_][a-z0-9]+)*$")), name="experiment_slug_path_safe"
            ),
        ),
        migrations.AddConstraint(
            model_name="experiment",
            constraint=models.CheckConstraint(
                condition=models.Q(("coverage__lte", 10000)), name="experiment_coverage_range"
            ),
        ),
        migrations.AddConstraint(
            model_name="experiment",
            constraint=models.CheckConstraint(
                condition=models.Q(("sample_size_guardrail__lte", 1000000)), name="experiment_sample_guardrail_range"
            ),
        ),
        migrations.AddConstraint(
            model_name="experiment",
            constraint=models.CheckConstraint(
                condition=models.Q(("attribution_window_days__gte", 1)), name="experiment_window_positive"
            ),
        ),
        migrations.AddConstraint(
            model_name="experiment",
            constraint=models.CheckConstraint(
                condition=models.Q(("status", "draft"), ("current_phase__isnull", False), _connector="OR"),
                name="experiment_phase_once_published",
            ),
        ),
        migrations.AddConstraint(
            model_name="experiment",
            constraint=models.CheckConstraint(
                condition=models.Q(("pause_cause__in", ["", "person", "breached", "outage", "schedule"])),
                name="experiment_pause_cause_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="experiment",
            constraint=models.CheckConstraint(
                condition=models.Q(("conclusion__in", ["", "won", "lost", "inconclusive", "stopped_early", "invalid"])),
                name="experiment_conclusion_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="experiment",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("scheduled_start_at__isnull", True),
                    ("scheduled_end_at__isnull", True),
                    ("scheduled_end_at__gt", models.F("scheduled_start_at")),
                    _connector="OR",
                ),
                name="experiment_schedule_ordered",
            ),
        ),
        migrations.AddConstraint(
            model_name="variantmetric",
            constraint=models.UniqueConstraint(
                fields=("variant", "phase", "window_start", "lookback_days"), name="variant_metric_day"
            ),
        ),
        migrations.AddConstraint(
            model_name="variantmetric",
            constraint=models.CheckConstraint(
                condition=models.Q(("acceptance_rate__gte", 0), ("acceptance_rate__lte", 1)),
                name="variant_metric_rate_range",
            ),
        ),
        migrations.AddConstraint(
            model_name="variantmetric",
            constraint=models.CheckConstraint(
                condition=models.Q(("acceptance_count__lte", models.F("sample_size"))),
                name="variant_metric_count_in_sample",
            ),
        ),
    ]
