"""Experiments, variants and phases as tables; what people do with them happens in the control center."""

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from catalog_experiments.admin.read_only import ReadOnlyAdmin
from catalog_experiments.models import Experiment, OverridePublication, Phase, PublishedDocument, Variant
from smplat.admin_theme import display


@admin.register(Experiment)
class ExperimentAdmin(ReadOnlyAdmin):
    """Find an experiment; its page, its edits and its verbs are the control center's."""

    list_display = ("slug", "name", "status", "owner", "started_at", "control_center_page")
    list_filter = ("status", "pause_cause", "conclusion")
    search_fields = ("slug", "name", "hypothesis", "learnings")
    list_select_related = ("owner",)

    @display(description="Control center")
    def control_center_page(self, experiment: Experiment) -> SafeString:
        """Link to the experiment's page."""
        return format_html('<a href="{}">Open</a>', reverse("control-center-experiment", args=[experiment.slug]))

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Whoever may add drafts is sent to the control center's form."""
        return bool(request.user.has_perm("catalog_experiments.add_experiment"))

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: object = None) -> HttpResponse:
        """Send to the draft page."""
        return redirect("control-center-new")


@admin.register(Variant)
class VariantAdmin(ReadOnlyAdmin):
    """Variants of all experiments."""

    list_display = ("experiment", "key", "name", "weight", "is_control", "bundle")
    list_filter = ("is_control",)
    search_fields = ("key", "name", "experiment__slug", "bundle__bundle_slug")
    list_select_related = ("experiment", "bundle")


@admin.register(Phase)
class PhaseAdmin(ReadOnlyAdmin):
    """Phases: one unchanged treatment each."""

    list_display = ("experiment", "number", "origin", "opened_at", "closed_at", "reason")
    list_filter = ("origin",)
    search_fields = ("experiment__slug",)
    list_select_related = ("experiment",)


@admin.register(OverridePublication)
class OverridePublicationAdmin(ReadOnlyAdmin):
    """Payload snapshots with the span in which each was live."""

    list_display = ("experiment", "variant_key", "bundle_slug", "active_from_at", "active_to_at", "is_rollback")
    list_filter = ("is_rollback",)
    search_fields = ("experiment__slug", "bundle_slug")
    list_select_related = ("experiment",)


@admin.register(PublishedDocument)
class PublishedDocumentAdmin(ReadOnlyAdmin):
    """What every storefront process was told, by version."""

    list_display = ("version", "issued_at", "etag")
