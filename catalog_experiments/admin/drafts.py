"""Create, edit and clone a draft: one form for the experiment, one row per variant, errors beside their fields."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import get_user_model
from django.forms.formsets import BaseFormSet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone

from catalog_experiments.admin.draft_forms import CloneForm, ExperimentForm, Rows, VariantFormSet, place_errors
from catalog_experiments.admin.draft_sections import RampFormSet
from catalog_experiments.admin.draft_values import (
    changes_from,
    initial_from,
    ramp_initials,
    spec_from,
    variant_initials,
)
from catalog_experiments.admin.pages import requires, service_for, show
from catalog_experiments.admin.verbs import refusal_sentence
from catalog_experiments.drafting import DuplicateSlug, InvalidExperiment
from catalog_experiments.drafting.specification import ExperimentSpec, wanted_spec
from catalog_experiments.lifecycle import IllegalMove, StaleVersion
from catalog_experiments.models import Bundle, ExclusionGroup, Experiment

_DEFAULTS = {"attribution_window_days": 7, "alpha": 0.05, "consecutive": 3}


@requires("add_experiment")
def new_page(request: HttpRequest) -> HttpResponse:
    """Ask for a new draft (GET) and create it (POST)."""
    form = ExperimentForm(request.POST or None, initial={**_DEFAULTS, "owner": request.user.get_username()})
    rows = _rows(request, None)
    if request.method == "POST" and _are_valid(form, rows):
        create = lambda: service_for(request).create(spec_from(form, **rows), now=timezone.now())  # noqa: E731 - one call, tried in one place
        if (created := _attempt(create, form, rows)) is not None:
            messages.success(request, f"Draft {created.name} is created. Read the launch checklist before you publish.")
            return redirect("control-center-experiment", created.slug)
    return _show_form(request, form, rows, "New experiment", None)


@requires("change_experiment")
def edit_page(request: HttpRequest, slug: str) -> HttpResponse:
    """Edit a draft at once; edits of a running or paused experiment wait for the next publish or resume."""
    experiment = Experiment.objects.select_related("owner").filter(slug=slug).first()
    if experiment is None:
        raise Http404(f"No experiment {slug!r}.")
    spec = wanted_spec(experiment)
    is_published = experiment.current_phase_id is not None
    first = initial_from(spec, experiment.lock_version)
    form = ExperimentForm(request.POST or None, initial=first, is_new=False, is_published=is_published)
    rows = _rows(request, spec)
    if request.method == "POST" and _are_valid(form, rows):
        update = lambda: service_for(request).update(  # noqa: E731 - one call, tried in one place
            slug,
            changes_from(form, **rows),
            now=timezone.now(),
            expected_version=form.cleaned_data["lock_version"],
        )
        if _attempt(update, form, rows) is not None:
            messages.success(request, f"{experiment.name} is saved.{_when_live(experiment)}")
            return redirect("control-center-experiment", slug)
    return _show_form(request, form, rows, f"Edit {experiment.name}", experiment)


def _rows(request: HttpRequest, spec: ExperimentSpec | None) -> dict[str, BaseFormSet[Any]]:
    return {
        "variants": VariantFormSet(request.POST or None, prefix="variants", initial=variant_initials(spec)),
        "ramp_plan": RampFormSet(request.POST or None, prefix="ramp", initial=ramp_initials(spec)),
    }


def _are_valid(form: ExperimentForm, rows: Rows) -> bool:
    return all([form.is_valid(), *(formset.is_valid() for formset in rows.values())])


def _when_live(experiment: Experiment) -> str:
    return "" if experiment.current_phase_id is None else " What shoppers see changes with the next publish."


@requires("add_experiment")
def clone_page(request: HttpRequest, slug: str) -> HttpResponse:
    """Ask for the clone's slug and name (GET) and create it as a draft (POST)."""
    experiment = Experiment.objects.filter(slug=slug).first()
    if experiment is None:
        raise Http404(f"No experiment {slug!r}.")
    form = CloneForm(request.POST or None, initial={"slug": f"{slug}-2", "name": f"{experiment.name}, again"})
    if request.method == "POST" and form.is_valid():
        clone = lambda: service_for(request).clone(slug, **_clone_arguments(form))  # noqa: E731 - one call, tried in one place
        if (created := _attempt(clone, form, {})) is not None:
            messages.success(request, f"Draft {created.name} is created.")
            return redirect("control-center-experiment", created.slug)
    return show(request, "clone.html", title=f"Clone {experiment.name}", form=form, experiment=experiment)


def _clone_arguments(form: CloneForm) -> dict[str, Any]:
    return {"new_slug": form.cleaned_data["slug"], "name": form.cleaned_data["name"], "now": timezone.now()}


def _attempt(call: Callable[[], Experiment], form: Any, rows: Rows) -> Experiment | None:
    """Make the domain call; put what it refuses beside the fields and return None."""
    try:
        return call()
    except InvalidExperiment as refusal:
        place_errors(refusal.errors, form, rows)
    except DuplicateSlug as refusal:
        form.add_error("slug", str(refusal))
    except (StaleVersion, IllegalMove) as refusal:
        form.add_error(None, refusal_sentence(refusal))
    return None


def _show_form(
    request: HttpRequest, form: ExperimentForm, rows: Rows, title: str, experiment: Experiment | None
) -> HttpResponse:
    bundles = Bundle.objects.active().order_by("primary_product_slug", "bundle_slug")
    status = 422 if request.method == "POST" else 200
    return show(
        request,
        "draft.html",
        title=title,
        status=status,
        form=form,
        variants=rows["variants"],
        ramp=rows["ramp_plan"],
        ramp_is_used=any(row.errors or row["coverage_percent"].value() for row in rows["ramp_plan"].forms),
        bundles=bundles,
        groups=ExclusionGroup.objects.all(),
        people=get_user_model().objects.filter(is_staff=True, is_active=True).order_by("username"),
        time_zone=settings.CATALOG_SHOP_TIME_ZONE,
        experiment=experiment,
    )
