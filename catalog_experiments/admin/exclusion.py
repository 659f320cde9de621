"""Exclusion groups and holdouts: made and sized through the domain, so that every page follows at once."""

from typing import Any

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from django.utils import timezone

from catalog_experiments.admin.pages import service_for
from catalog_experiments.models import ExclusionGroup, Holdout
from catalog_experiments.service import CatalogExperimentService, InvalidFields
from smplat.admin_theme import ModelAdmin, display


class DomainForm(ModelForm):  # type: ignore[type-arg]  # not parametrized at run time
    """Makes the domain call as its last check, so that what the domain refuses stands beside its field."""

    service: CatalogExperimentService
    saved: Model

    def _post_clean(self) -> None:
        """Store through the service in place of the model's checks; refusals become errors."""
        if self.errors:
            return
        try:
            self.saved = self.carry_out()
        except InvalidFields as refusal:
            for error in refusal.errors:
                self.add_error(error.field if error.field in self.fields else None, error.message)

    def carry_out(self) -> Model:
        """Make the domain call and return what it stored."""
        raise NotImplementedError

    def save(self, commit: bool = True) -> Model:
        """Return what the service stored."""
        return self.saved

    def save_m2m(self) -> None:
        """Do nothing: there are no many-to-many fields."""


class GroupForm(DomainForm):
    """Ask for a new group."""

    class Meta:
        model = ExclusionGroup
        fields = ("slug", "name")

    def carry_out(self) -> ExclusionGroup:
        """Create the group."""
        return self.service.create_group(self.cleaned_data["slug"], self.cleaned_data["name"], now=timezone.now())


class HoldoutForm(DomainForm):
    """Ask whom to hold out of what; only the size of a known holdout changes."""

    class Meta:
        model = Holdout
        fields = ("group", "size")

    def carry_out(self) -> Holdout:
        """Size the holdout."""
        group = self.cleaned_data["group"] if "group" in self.fields else self.instance.group
        size, slug = self.cleaned_data["size"], group.slug if group else None
        return self.service.set_holdout(size, group_slug=slug, now=timezone.now())


class DomainAdmin(ModelAdmin[Model]):
    """A table whose form makes the domain call itself."""

    def get_form(self, request: HttpRequest, obj: Model | None = None, change: bool = False, **kwargs: Any) -> Any:
        """Give the form a service that acts as the person who asks."""
        form = super().get_form(request, obj, change, **kwargs)
        return type(form.__name__, (form,), {"service": service_for(request)})

    def save_model(self, request: HttpRequest, obj: Model, form: Any, change: bool) -> None:
        """Nothing is left to do: the form's domain call has stored it."""

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Results refer to it: a group stays, a holdout is sized to zero."""
        return False


@admin.register(ExclusionGroup)
class ExclusionGroupAdmin(DomainAdmin):
    """Make a group and see who takes what of it; an experiment's range is edited with the experiment."""

    form = GroupForm
    list_display = ("slug", "name", "ranges_taken", "held_out")
    search_fields = ("slug", "name")
    ordering = ("slug",)

    @display(description="Running experiments")
    def ranges_taken(self, group: ExclusionGroup) -> str:
        """List the ranges that running experiments take."""
        running = sorted(
            (experiment.exclusion_start, experiment.exclusion_end, experiment.slug)
            for experiment in group.experiments.all()
            if experiment.is_running
        )
        return ", ".join(f"{slug} {start} to {end}" for start, end, slug in running) or "none"

    @display(description="Held out")
    def held_out(self, group: ExclusionGroup) -> str:
        """Say how much of the traffic is held out of the group."""
        holdout = getattr(group, "holdout", None)
        return f"{holdout.size / 100:g} %" if holdout else "nobody"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Model]:
        """Read the experiments and holdouts of all groups at once."""
        return super().get_queryset(request).select_related("holdout").prefetch_related("experiments")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A group is its salt; nothing of it changes."""
        return False


@admin.register(Holdout)
class HoldoutAdmin(DomainAdmin):
    """Size holdouts. Raising one takes returning visitors out of running results, for good in their phase."""

    form = HoldoutForm
    list_display = ("__str__", "size", "changed_at")
    list_select_related = ("group",)

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        """Fix what a known holdout belongs to."""
        return ("group",) if obj else ()
