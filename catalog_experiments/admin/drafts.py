"""Create, edit and clone a draft: one form for the experiment, one row per variant, errors beside their fields."""

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.forms.formsets import BaseFormSet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone

from catalog_experiments.admin.draft_forms import CloneForm, ExperimentForm, VariantFormSet, place_errors
from catalog_experiments.admin.draft_values import changes_from, initial_from, spec_from, variant_initials
from catalog_experiments.admin.pages import requires, service_for, show
from catalog_experiments.admin.verbs import refusal_sentence
from catalog_experiments.drafting import DuplicateSlug, InvalidExperiment
from catalog_experiments.drafting.specification import wanted_spec
from catalog_experiments.lifecycle import IllegalMove, StaleVersion
from catalog_experiments.models import Bundle, ExclusionGroup, Experiment


@requires("add_experiment")
def new_page(request: HttpRequest) -> HttpResponse:
    """Ask for a new draft (GET) and create it (POST)."""
    form = ExperimentForm(request.POST or None)
    variants = VariantFormSet(request.POST or None, prefix="variants", initial=variant_initials(None))
    if request.method == "POST" and form.is_valid() and variants.is_valid():
        create = lambda: service_for(request).create(spec_from(form, variants), now=timezone.now())  # noqa: E731 - one call, tried in one place
        if (created := _attempt(create, form, variants)) is not None:
            messages.success(request, f"Draft {created.name} is created. Read the launch checklist before you publish.")
            return redirect("control-center-experiment", created.slug)
    return _show_form(request, form, variants, "New experiment", None)


@requires("change_experiment")
def edit_page(request: HttpRequest, slug: str) -> HttpResponse:
    """Edit a draft at once; edits of a running or paused experiment wait for the next publish or resume."""
    experiment = Experiment.objects.select_related("owner").filter(slug=slug).first()
    if experiment is None:
        raise Http404(f"No experiment {slug!r}.")
    spec = wanted_spec(experiment)
    form = ExperimentForm(request.POST or None, initial=initial_from(spec, experiment.lock_version), is_new=False)
    variants = VariantFormSet(request.POST or None, prefix="variants", initial=variant_initials(spec))
    if request.method == "POST" and form.is_valid() and variants.is_valid():
        update = lambda: service_for(request).update(  # noqa: E731 - one call, tried in one place
            slug,
            changes_from(form, variants),
            now=timezone.now(),
            expected_version=form.cleaned_data["lock_version"],
        )
        if _attempt(update, form, variants) is not None:
            messages.success(request, f"{experiment.name} is saved.{_when_live(experiment)}")
            return redirect("control-center-experiment", slug)
    return _show_form(request, form, variants, f"Edit {experiment.name}", experiment)


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
        if (created := _attempt(clone, form, None)) is not None:
            messages.success(request, f"Draft {created.name} is created.")
            return redirect("control-center-experiment", created.slug)
    return show(request, "clone.html", title=f"Clone {experiment.name}", form=form, experiment=experiment)


def _clone_arguments(form: CloneForm) -> dict[str, Any]:
    return {"new_slug": form.cleaned_data["slug"], "name": form.cleaned_data["name"], "now": timezone.now()}


def _attempt(call: Callable[[], Experiment], form: Any, variants: "BaseFormSet[Any] | None") -> Experiment | None:
    """Make the domain call; put what it refuses beside the fields and return None."""
    try:
        return call()
    except InvalidExperiment as refusal:
        place_errors(refusal.errors, form, variants)
    except DuplicateSlug as refusal:
        form.add_error("slug", str(refusal))
    except (StaleVersion, IllegalMove) as refusal:
        form.add_error(None, refusal_sentence(refusal))
    return None


def _show_form(
    request: HttpRequest, form: ExperimentForm, variants: Any, title: str, experiment: Experiment | None
) -> HttpResponse:
    bundles = Bundle.objects.active().order_by("primary_product_slug", "bundle_slug")
    status = 422 if request.method == "POST" else 200
    return show(
        request,
        "draft.html",
        title=title,
        status=status,
        form=form,
        variants=variants,
        bundles=bundles,
        groups=ExclusionGroup.objects.all(),
        experiment=experiment,
    )
