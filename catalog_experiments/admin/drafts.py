"""Create, edit and clone a draft: one form for the experiment, one row per variant, errors beside their fields."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import get_user_model
from django.core.exceptions import NON_FIELD_ERRORS
from django.forms import Form
from django.forms.formsets import BaseFormSet
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.utils import timezone

from catalog_experiments.admin.draft_forms import CloneForm, ExperimentForm, Rows, VariantFormSet, place_errors
from catalog_experiments.admin.draft_sections import RampFormSet
from catalog_experiments.admin.draft_values import (
    changes_from,
    clone_names,
    initial_from,
    ramp_initials,
    spec_from,
    variant_initials,
)
from catalog_experiments.admin.pages import requires, service_for, show
from catalog_experiments.admin.verbs import refusal_sentence
from catalog_experiments.drafting import DuplicateSlug, InvalidExperiment
from catalog_experiments.drafting.specification import ExperimentSpec, wanted_spec
from catalog_experiments.field_errors import FieldError
from catalog_experiments.lifecycle import IllegalMove, StaleVersion
from catalog_experiments.models import Bundle, ExclusionGroup, Experiment

_DEFAULTS = {"attribution_window_days": 7, "alpha": 0.05, "consecutive": 3}


@requires("add_experiment")
def new_page(request: HttpRequest) -> HttpResponse:
    """Ask for a new draft (GET) and create it (POST)."""
    form = ExperimentForm(_posted(request), initial={**_DEFAULTS, "owner": request.user.get_username()})
    rows = _rows(request, None)
    if request.method == "POST":
        service, now = service_for(request), timezone.now()
        created = _attempt(
            form,
            rows,
            carry_out=lambda: service.create(spec_from(form, **rows), now=now),
            check=lambda: service.draft_errors(spec_from(form, **rows), now=now),
        )
        if created is not None:
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
    form = ExperimentForm(_posted(request), initial=first, is_new=False, is_published=is_published)
    rows = _rows(request, spec)
    if request.method == "POST":
        service, now = service_for(request), timezone.now()
        updated = _attempt(
            form,
            rows,
            carry_out=lambda: service.update(
                slug, changes_from(form, **rows), now=now, expected_version=form.cleaned_data["lock_version"]
            ),
            check=lambda: service.edit_errors(slug, changes_from(form, **rows), now=now),
        )
        if updated is not None:
            messages.success(request, f"{experiment.name} is saved.{_when_live(experiment)}")
            return redirect("control-center-experiment", slug)
    return _show_form(request, form, rows, f"Edit {experiment.name}", experiment)


def _posted(request: HttpRequest) -> QueryDict | None:
    # Not the usual `request.POST or None`: an empty body is refused field by field, too.
    return request.POST if request.method == "POST" else None


def _rows(request: HttpRequest, spec: ExperimentSpec | None) -> dict[str, BaseFormSet[Any]]:
    return {
        "variants": VariantFormSet(_posted(request), prefix="variants", initial=variant_initials(spec)),
        "ramp_plan": RampFormSet(_posted(request), prefix="ramp", initial=ramp_initials(spec)),
    }


def _are_valid(form: Form, rows: Rows) -> bool:
    return all([form.is_valid(), *(formset.is_valid() for formset in rows.values())])


def _when_live(experiment: Experiment) -> str:
    return "" if experiment.current_phase_id is None else " What shoppers see changes with the next publish."


@requires("add_experiment")
def clone_page(request: HttpRequest, slug: str) -> HttpResponse:
    """Ask for the clone's slug and name (GET) and create it as a draft (POST)."""
    experiment = Experiment.objects.filter(slug=slug).first()
    if experiment is None:
        raise Http404(f"No experiment {slug!r}.")
    form = CloneForm(_posted(request), initial={"slug": f"{slug}-2", "name": f"{experiment.name}, again"})
    if request.method == "POST":
        service, now = service_for(request), timezone.now()
        created = _attempt(
            form,
            {},
            carry_out=lambda: service.clone(slug, **clone_names(form), now=now),
            check=lambda: service.clone_errors(slug, **clone_names(form), now=now),
        )
        if created is not None:
            messages.success(request, f"Draft {created.name} is created.")
            return redirect("control-center-experiment", created.slug)
    return show(request, "clone.html", title=f"Clone {experiment.name}", form=form, experiment=experiment)


def _attempt(
    form: Any, rows: Rows, *, carry_out: Callable[[], Experiment], check: Callable[[], Iterable[FieldError]]
) -> Experiment | None:
    """Carry out what a page asks for; put everything that is refused beside the fields and return None.

    Where a form refuses a value the domain checks the others at once, so that nobody mends a page twice.
    """
    if not _are_valid(form, rows):
        place_errors(check(), form, rows)
        return None
    try:
        return carry_out()
    except InvalidExperiment as refusal:
        place_errors(refusal.errors, form, rows)
    except DuplicateSlug as refusal:
        form.add_error("slug", str(refusal))
    except (StaleVersion, IllegalMove) as refusal:
        form.add_error(None, refusal_sentence(refusal))
    return None


def _refused_count(*forms: Form) -> int:
    return sum(name != NON_FIELD_ERRORS for form in forms for name in form.errors)


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
        refused_count=_refused_count(form, *rows["variants"].forms, *rows["ramp_plan"].forms),
        variants=rows["variants"],
        ramp=rows["ramp_plan"],
        ramp_is_used=any(row.errors or row["coverage_percent"].value() for row in rows["ramp_plan"].forms),
        bundles=bundles,
        groups=ExclusionGroup.objects.all(),
        people=get_user_model().objects.filter(is_staff=True, is_active=True).order_by("username"),
        time_zone=settings.CATALOG_SHOP_TIME_ZONE,
        experiment=experiment,
    )
