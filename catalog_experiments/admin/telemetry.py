"""Facts, tallies, moments and metric rows: to be read, never edited."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from catalog_experiments.admin.read_only import FactAdmin, ReadOnlyAdmin
from catalog_experiments.models import (
    HOURLY,
    AggregationCursor,
    BundleAcceptanceMetric,
    Cohort,
    ErasedCohort,
    ErasedUnit,
    Exposure,
    GuardrailTally,
    IntakeOutcome,
    Moment,
    Order,
    OrderOutcome,
    TelemetryGap,
    TelemetryHour,
    UnitAlias,
    VariantMetric,
)


@admin.register(Exposure)
class ExposureAdmin(FactAdmin):
    """Who met which variant, the newest phase first; units are keyed digests.

    Rows have no page of their own: no index serves their id.
    """

    list_display = ("unit", "experiment", "phase", "variant_key", "exposed_at", "is_mixed", "is_fault", "is_holdout")
    list_filter = ("is_mixed", "is_fault", "is_merged", "is_holdout", "excluded_as")
    list_display_links = None
    list_select_related = ("experiment", "phase__experiment")
    ordering = ("-phase_id", "-exposed_at")  # as an index has them


@admin.register(UnitAlias)
class UnitAliasAdmin(ReadOnlyAdmin):
    """Which visitor ids were one customer's; both are keyed digests."""

    list_display = ("visitor", "customer", "recorded_at")
    search_fields = ("=visitor", "=customer")


@admin.register(ErasedUnit)
class ErasedUnitAdmin(ReadOnlyAdmin):
    """Who was erased and when: digests, to be looked up by nobody but whoever knows the id and the key."""

    list_display = ("digest", "erased_at")
    search_fields = ("=digest",)


@admin.register(ErasedCohort)
class ErasedCohortAdmin(ReadOnlyAdmin):
    """Cohort days whose sums stand although units of theirs were erased."""

    list_display = ("phase", "cohort_date", "unit_count")
    list_select_related = ("phase__experiment",)


@admin.register(Order)
class OrderAdmin(FactAdmin):
    """Orders as the shop reported them."""

    list_display = ("order_ref", "placed_at", "status", "revenue_minor", "currency", "source", "cancelled_at")
    list_filter = ("status", "excluded_as")  # to list the sources, all orders would be read
    search_fields = ("=order_ref",)


@admin.register(OrderOutcome)
class OrderOutcomeAdmin(FactAdmin):
    """Which bundle an order took or left."""

    list_display = ("order", "bundle", "accepted")
    list_filter = ("accepted",)
    search_fields = ("=order__order_ref", "=bundle__bundle_slug")
    list_select_related = ("order", "bundle")


@admin.register(TelemetryHour)
class TelemetryHourAdmin(ReadOnlyAdmin):
    """What came in by the hour, and how many orders found their visitor."""

    list_display = ("phase", "hour_at", "exposed_count", "order_count", "joined_count", "foreign_count")
    search_fields = ("phase__experiment__slug",)
    list_select_related = ("phase__experiment",)
    ordering = ("-hour_at",)


@admin.register(IntakeOutcome)
class IntakeOutcomeAdmin(ReadOnlyAdmin):
    """What became of reports that were not plainly stored, by the hour; the control center tells it in words."""

    list_display = ("hour_at", "kind", "outcome", "code", "report_count")
    list_filter = ("kind", "outcome")
    search_fields = ("=code",)


@admin.register(TelemetryGap)
class TelemetryGapAdmin(ReadOnlyAdmin):
    """When the data of a phase could not be trusted, and why."""

    list_display = ("phase", "cause", "started_at", "ended_at")
    list_filter = ("cause",)
    search_fields = ("phase__experiment__slug",)
    list_select_related = ("phase__experiment",)


@admin.register(GuardrailTally)
class GuardrailTallyAdmin(ReadOnlyAdmin):
    """First eligible orders by hour, net and gross."""

    list_display = ("experiment", "phase", "variant_key", "outcome_hour_at", "n", "accepted", "gross_n")
    search_fields = ("experiment__slug",)
    list_select_related = ("experiment", "phase__experiment")
    ordering = ("-outcome_hour_at",)


class DayAdmin(ReadOnlyAdmin):
    """Rows of whole days: their hours are for guardrails alone, and would look like segments."""

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Leave out the rows of hours."""
        return super().get_queryset(request).exclude(segment__startswith=HOURLY)


@admin.register(Cohort)
class CohortAdmin(DayAdmin):
    """What the units of one day did: the sums that moments are read from."""

    list_display = ("phase", "cohort_date", "variant_key", "segment", "exposed", "uncut", "mixed", "faulty", "merged")
    search_fields = ("phase__experiment__slug",)
    list_select_related = ("phase__experiment",)
    ordering = ("-cohort_date",)


@admin.register(Moment)
class MomentAdmin(DayAdmin):
    """Sums per cohort day."""

    list_display = ("experiment", "phase", "variant_key", "cohort_date", "metric", "segment", "n", "total")
    list_filter = ("metric",)
    search_fields = ("experiment__slug",)
    list_select_related = ("experiment", "phase__experiment")
    ordering = ("-cohort_date",)


@admin.register(VariantMetric)
class VariantMetricAdmin(ReadOnlyAdmin):
    """The cards' rows, one per variant and UTC day."""

    list_display = (
        "variant",
        "window_start",
        "sample_size",
        "acceptance_count",
        "acceptance_rate",
        "lift_vs_control",
        "guardrail_breached",
        "computed_at",
    )
    list_filter = ("guardrail_breached",)
    search_fields = ("experiment__slug",)
    list_select_related = ("variant__experiment",)


@admin.register(BundleAcceptanceMetric)
class BundleAcceptanceMetricAdmin(ReadOnlyAdmin):
    """How often orders took each bundle over a sliding look-back."""

    list_display = ("bundle", "lookback_days", "sample_size", "acceptance_count", "acceptance_rate", "computed_at")
    search_fields = ("bundle__bundle_slug",)
    list_select_related = ("bundle",)


@admin.register(AggregationCursor)
class AggregationCursorAdmin(ReadOnlyAdmin):
    """How far each phase's facts have been counted."""

    list_display = ("phase", "recorded_to", "open_from")
    list_select_related = ("phase__experiment",)
