"""Records nobody may change: evaluations, events, and what the jobs did."""

from django.contrib import admin

from catalog_experiments.admin.read_only import ReadOnlyAdmin
from catalog_experiments.models import (
    EvaluationHead,
    ExperimentEvent,
    GuardrailEvaluation,
    JobLease,
    JobRun,
    LiveConfirmation,
    ScheduleOrigin,
)


@admin.register(GuardrailEvaluation)
class GuardrailEvaluationAdmin(ReadOnlyAdmin):
    """Evaluations with their evidence, chained by hash."""

    list_display = ("sequence", "experiment", "evaluated_at", "verdict", "action", "rule_version")
    list_filter = ("verdict", "action")
    search_fields = ("experiment__slug",)
    list_select_related = ("experiment",)


@admin.register(EvaluationHead)
class EvaluationHeadAdmin(ReadOnlyAdmin):
    """Where the chain of evaluations ends."""

    list_display = ("sequence", "record_hash")


@admin.register(LiveConfirmation)
class LiveConfirmationAdmin(ReadOnlyAdmin):
    """When the storefront was seen to serve what was published, or what was found instead."""

    list_display = ("experiment", "status", "document_version", "promised_at", "confirmed_at", "looks", "problem")
    list_filter = ("status", ("confirmed_at", admin.EmptyFieldListFilter))
    search_fields = ("experiment__slug",)
    list_select_related = ("experiment",)


@admin.register(ExperimentEvent)
class ExperimentEventAdmin(ReadOnlyAdmin):
    """The audit trail: who did what, before and after, and why."""

    list_display = ("occurred_at", "experiment_slug", "actor", "action", "reason")
    list_filter = ("action",)
    search_fields = ("experiment_slug", "actor", "reason")


@admin.register(JobRun)
class JobRunAdmin(ReadOnlyAdmin):
    """Runs of the jobs by slot: last run, outcome, attempts, error."""

    list_display = ("job", "slot_at", "outcome", "attempts", "started_at", "finished_at", "error")
    list_filter = ("job", "outcome")


@admin.register(JobLease)
class JobLeaseAdmin(ReadOnlyAdmin):
    """Who may do a job's work now."""

    list_display = ("job", "owner", "token", "expires_at")


@admin.register(ScheduleOrigin)
class ScheduleOriginAdmin(ReadOnlyAdmin):
    """What the schedule file last said of each job."""

    list_display = ("job", "task", "file_hash")
    list_select_related = ("task",)
