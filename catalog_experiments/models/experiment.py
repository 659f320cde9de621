"""An experiment and its variants."""

from collections.abc import Iterable

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from catalog_experiments.models.bundle import Bundle
from catalog_experiments.models.exclusion import ExclusionGroup
from catalog_experiments.models.fields import PATH_SAFE_SLUG, time_ordered_key
from catalog_experiments.models.phase import Phase, PhaseOrigin, PrimaryMetric


class ExperimentStatus(models.TextChoices):
    """The four states of the lifecycle; `lifecycle` is the only writer."""

    DRAFT = "draft", "Draft"
    RUNNING = "running", "Running"
    PAUSED = "paused", "Paused"
    COMPLETED = "completed", "Completed"


class PauseCause(models.TextChoices):
    """Who or what paused: decides whether a resume keeps the phase or opens a new one."""

    NONE = "", "Not paused"
    PERSON = "person", "A person"
    BREACHED = "breached", "Guardrail evidence"
    OUTAGE = "outage", "Outage"
    STOCK = "stock", "Out of stock"
    SCHEDULE = "schedule", "Schedule"


class Conclusion(models.TextChoices):
    """What a completed experiment came to."""

    NOT_STATED = "", "Not stated"
    WON = "won", "Won"
    LOST = "lost", "Lost"
    INCONCLUSIVE = "inconclusive", "Inconclusive"
    STOPPED_EARLY = "stopped_early", "Stopped early"
    INVALID = "invalid", "Invalid"


class RampState(models.TextChoices):
    """Where a ramp stands: it climbs by itself until it is through, or somebody or something ended it."""

    NONE = "", "No ramp"
    CLIMBING = "climbing", "Climbing"
    FINISHED = "finished", "Finished"
    STOPPED = "stopped", "Stopped by a person"
    ROLLED_BACK = "rolled_back", "Rolled back"


class UnitKind(models.TextChoices):
    """What is randomised."""

    VISITOR = "visitor", "Visitor"
    CUSTOMER = "customer", "Customer"


class Segment(models.TextChoices):
    """By what results may be told apart, when it is said before the phase opens."""

    DEVICE = "device", "Device"
    COUNTRY = "country", "Country"
    HISTORY = "history", "New or returning"


class ExperimentQuerySet(models.QuerySet["Experiment"]):
    """Questions about many experiments."""

    def running(self) -> "ExperimentQuerySet":
        """Keep the experiments that serve their variants now."""
        return self.filter(status=ExperimentStatus.RUNNING)

    def measured(self) -> "ExperimentQuerySet":
        """Keep those whose telemetry is aggregated: running or paused, and not seeded for QA."""
        return self.filter(status__in=[ExperimentStatus.RUNNING, ExperimentStatus.PAUSED]).exclude(
            current_phase__origin=PhaseOrigin.SEEDED
        )

    def locked(self, ids: Iterable[object]) -> list["Experiment"]:
        """Lock the rows for update, ordered by primary key, and return them fresh; call it inside a transaction.

        Rows that refer to them may still be written meanwhile, so that no aggregation waits for a person's change.
        """
        return list(self.select_for_update(of=("self",), no_key=True).filter(pk__in=list(ids)).order_by("pk"))


class Experiment(models.Model):
    """One question put to shoppers: which bundle offer should this product page make?

    `coverage` is in basis points of all units (0 to 10,000). `guardrail_config` has the shape of
    `guardrails.GuardrailConfig`. `pending_changes` holds edits of a running experiment until the next publish.
    `lock_version` grows by one with every change and guards against lost updates. In an exclusion group only units
    whose bucket there lies in `[exclusion_start, exclusion_end)` are enrolled.
    """

    id = time_ordered_key()
    slug = models.CharField(max_length=150, unique=True, validators=[PATH_SAFE_SLUG])
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True, max_length=500)
    hypothesis = models.TextField(blank=True)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="owned_experiments"
    )
    status = models.CharField(max_length=16, choices=ExperimentStatus.choices, default=ExperimentStatus.DRAFT)
    unit_kind = models.CharField(max_length=16, choices=UnitKind.choices, default=UnitKind.VISITOR)
    is_canary = models.BooleanField(
        default=False,
        help_text="An A/A test of the measuring itself: all variants are the same, phases renew by themselves.",
    )
    primary_metric = models.CharField(
        max_length=16,
        choices=PrimaryMetric.choices,
        blank=True,
        help_text="Left blank: margin when every cost is known at publish, else revenue.",
    )
    guardrail_config = models.JSONField(default=dict, blank=True)
    sample_size_guardrail = models.PositiveIntegerField(default=0, validators=[MaxValueValidator(1_000_000)])
    current_phase = models.ForeignKey(
        Phase, null=True, blank=True, editable=False, on_delete=models.PROTECT, related_name="+"
    )
    coverage = models.PositiveSmallIntegerField(
        default=10_000, validators=[MaxValueValidator(10_000)], help_text="Basis points of all units: 10,000 is all."
    )
    attribution_window_days = models.PositiveSmallIntegerField(default=7, validators=[MinValueValidator(1)])
    planned_sample_size = models.PositiveIntegerField(
        null=True, blank=True, help_text="Complete units per variant at which the final verdict is computed."
    )
    stop_at_planned_sample = models.BooleanField(
        default=False, help_text="Complete the experiment by itself once the planned sample is complete."
    )
    scheduled_start_at = models.DateTimeField(null=True, blank=True)
    scheduled_end_at = models.DateTimeField(null=True, blank=True)
    schedule_refusal = models.TextField(
        blank=True, help_text="Why the scheduled start or end did not happen; a new time clears it."
    )
    ramp_plan = models.JSONField(default=list, blank=True, help_text="Steps of coverage, in `ramp_plans` form.")
    ramp_state = models.CharField(max_length=16, choices=RampState.choices, blank=True, default=RampState.NONE)
    ramp_step = models.PositiveSmallIntegerField(null=True, blank=True, help_text="1 is the first step of the plan.")
    ramp_step_at = models.DateTimeField(null=True, blank=True, help_text="When serving of the present step began.")
    exclusion_group = models.ForeignKey(
        ExclusionGroup,
        to_field="slug",
        db_column="exclusion_group",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="experiments",
    )
    exclusion_start = models.PositiveSmallIntegerField(default=0, help_text="First bucket of the group's 10,000.")
    exclusion_end = models.PositiveSmallIntegerField(default=10_000, help_text="First bucket past the range.")
    targeting = models.JSONField(default=dict, blank=True)
    forced_units = models.JSONField(
        default=dict, blank=True, help_text="Unit id to variant key, for QA; never counted."
    )
    segments = models.JSONField(
        default=list, blank=True, help_text="By what results are also told apart: device, country, history."
    )
    pending_changes = models.JSONField(default=dict, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    published_at = models.DateTimeField(null=True, blank=True)
    paused_at = models.DateTimeField(null=True, blank=True)
    pause_cause = models.CharField(max_length=16, choices=PauseCause.choices, blank=True, default=PauseCause.NONE)
    pause_reason = models.TextField(blank=True)
    completed_at = models.DateTimeField(null=True, blank=True)
    conclusion = models.CharField(max_length=16, choices=Conclusion.choices, blank=True, default=Conclusion.NOT_STATED)
    winner = models.ForeignKey("Variant", null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    learnings = models.TextField(blank=True)
    final_report = models.JSONField(default=list, blank=True, help_text="Revisions of the frozen report, oldest first.")
    metadata = models.JSONField(default=dict, blank=True)
    lock_version = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = ExperimentQuerySet.as_manager()

    class Meta:
        db_table = "catalog_bundle_experiments"
        ordering = ["-created_at"]
        permissions = [
            ("publish_experiment", "Can publish and resume experiments"),
            ("pause_experiment", "Can pause experiments"),
            ("complete_experiment", "Can complete experiments"),
        ]
        indexes = [models.Index(fields=["status"], name="experiment_status")]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(status__in=ExperimentStatus.values), name="experiment_status_known"
            ),
            models.CheckConstraint(
                condition=models.Q(slug__regex=r"^[a-z0-9]+(?:[-_][a-z0-9]+)*$"), name="experiment_slug_path_safe"
            ),
            models.CheckConstraint(condition=models.Q(coverage__lte=10_000), name="experiment_coverage_range"),
            models.CheckConstraint(
                condition=models.Q(exclusion_start__lt=models.F("exclusion_end"), exclusion_end__lte=10_000),
                name="experiment_exclusion_range",
            ),
            models.CheckConstraint(
                condition=models.Q(sample_size_guardrail__lte=1_000_000), name="experiment_sample_guardrail_range"
            ),
            models.CheckConstraint(
                condition=models.Q(attribution_window_days__gte=1), name="experiment_window_positive"
            ),
            models.CheckConstraint(
                condition=models.Q(status=ExperimentStatus.DRAFT) | models.Q(current_phase__isnull=False),
                name="experiment_phase_once_published",
            ),
            models.CheckConstraint(
                condition=models.Q(pause_cause__in=PauseCause.values), name="experiment_pause_cause_known"
            ),
            models.CheckConstraint(
                condition=models.Q(conclusion__in=Conclusion.values), name="experiment_conclusion_known"
            ),
            models.CheckConstraint(
                condition=models.Q(ramp_state__in=RampState.values), name="experiment_ramp_state_known"
            ),
            models.CheckConstraint(
                condition=models.Q(ramp_state=RampState.NONE, ramp_step__isnull=True, ramp_step_at__isnull=True)
                | (
                    ~models.Q(ramp_state=RampState.NONE)
                    & models.Q(ramp_step__isnull=False, ramp_step__gte=1, ramp_step_at__isnull=False)
                ),
                name="experiment_ramp_step_while_ramped",
            ),
            models.CheckConstraint(
                condition=models.Q(scheduled_start_at__isnull=True)
                | models.Q(scheduled_end_at__isnull=True)
                | models.Q(scheduled_end_at__gt=models.F("scheduled_start_at")),
                name="experiment_schedule_ordered",
            ),
        ]

    def __str__(self) -> str:
        """Name the experiment by its slug."""
        return self.slug

    @property
    def page_url(self) -> str:
        """Address of the experiment's page in the control center, for people who are told of it elsewhere."""
        return f"{settings.API_BASE_URL}/admin/merchandising/bundles/{self.slug}"

    @property
    def is_running(self) -> bool:
        """Say whether visitors are served this experiment's variants."""
        return self.status == ExperimentStatus.RUNNING

    @property
    def is_seeded(self) -> bool:
        """Say whether the numbers were seeded for QA: no job may touch them."""
        return self.current_phase is not None and self.current_phase.origin == PhaseOrigin.SEEDED


class Variant(models.Model):
    """One answer to the question: a bundle (or no offer, for a control) and the payload the page applies."""

    id = time_ordered_key()
    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="variants")
    key = models.CharField(max_length=100, validators=[PATH_SAFE_SLUG])
    name = models.CharField(max_length=150)
    weight = models.PositiveSmallIntegerField(default=0, validators=[MaxValueValidator(10_000)])
    is_control = models.BooleanField(default=False)
    bundle = models.ForeignKey(
        Bundle,
        to_field="bundle_slug",
        db_column="bundle_slug",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="variants",
    )
    override_payload = models.JSONField(default=dict, blank=True)
    position = models.PositiveSmallIntegerField(default=0)
    metadata = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        db_table = "catalog_bundle_experiment_variants"
        ordering = ["-is_control", "position", "key"]
        constraints = [
            models.UniqueConstraint(fields=["experiment", "key"], name="variant_experiment_key"),
            models.UniqueConstraint(
                fields=["experiment"], condition=models.Q(is_control=True), name="variant_one_control"
            ),
            models.CheckConstraint(condition=models.Q(weight__lte=10_000), name="variant_weight_range"),
        ]

    def __str__(self) -> str:
        """Name the variant by experiment and key."""
        return f"{self.experiment}: {self.key}"
