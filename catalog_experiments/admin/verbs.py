"""The buttons of an experiment: each has a page that says what will happen, asks why, and makes one domain call."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_POST

from catalog_experiments.admin.differences import pending_differences
from catalog_experiments.admin.pages import requires, service_for, show
from catalog_experiments.admin.verb_forms import (
    AdvanceRampForm,
    CompleteForm,
    ConcludeForm,
    DeleteForm,
    PauseForm,
    PublishForm,
    RenewForm,
    ResumeForm,
    StopRampForm,
    VerbForm,
)
from catalog_experiments.lifecycle import IllegalMove, PreflightFailed, ReasonRequired, StaleVersion, legal_moves
from catalog_experiments.models import Experiment, PauseCause, RampState
from catalog_experiments.preflight import Check
from catalog_experiments.ramping import RampRefused


@dataclass(frozen=True, slots=True)
class Verb:
    """One button: what it is called, who may press it, and what pressing it does to shoppers."""

    name: str
    label: str
    permission: str
    form: type[VerbForm]
    effects: tuple[str, ...]
    done: str
    is_danger: bool = False


VERBS: Mapping[str, Verb] = {
    "publish": Verb(
        "publish",
        "Publish overrides",
        "publish_experiment",
        PublishForm,
        (
            "Shoppers on the product page are split at random; each keeps the same offer on every visit.",
            "The offers below go live within 2 seconds; changed ones open a new phase that counts from zero.",
            "The guardrails watch from the first order and pause only on evidence.",
        ),
        "is live.",
    ),
    "pause": Verb(
        "pause",
        "Pause",
        "pause_experiment",
        PauseForm,
        (
            "Every shopper sees the control within 2 seconds.",
            "Telemetry goes on; visitors whose window meets the pause leave the results of all variants alike.",
        ),
        "is paused; shoppers see the control.",
    ),
    "resume": Verb(
        "resume",
        "Resume",
        "publish_experiment",
        ResumeForm,
        ("Shoppers are split again within 2 seconds.",),
        "runs again.",
    ),
    "complete": Verb(
        "complete",
        "Complete",
        "complete_experiment",
        CompleteForm,
        (
            "The experiment ends for good; the report is frozen. Clone it to try again.",
            "Shoppers see the shipped variant, or the control when none is shipped.",
        ),
        "is completed.",
        is_danger=True,
    ),
    "renew": Verb(
        "renew",
        "Open a new phase",
        "publish_experiment",
        RenewForm,
        (
            "Shoppers see the same offers, split anew at random.",
            "The numbers of this phase are kept apart; the new one counts from zero.",
            "A hold that stays in the data (split, mixed visitors, client faults) ends with this phase.",
        ),
        "counts from zero in a new phase.",
    ),
    "advance_ramp": Verb(
        "advance_ramp",
        "Next ramp step",
        "publish_experiment",
        AdvanceRampForm,
        (
            "More shoppers take part within 2 seconds; nobody who takes part already changes variant.",
            "The step's hours and visitors are not waited for. From the next step on the ramp climbs by itself again.",
        ),
        "took its next ramp step.",
    ),
    "stop_ramp": Verb(
        "stop_ramp",
        "Stop the ramp",
        "publish_experiment",
        StopRampForm,
        ("The share of visitors stays as it is; no step follows by itself.",),
        "stays at its present share of visitors.",
    ),
    "conclude": Verb(
        "conclude",
        "State the conclusion",
        "complete_experiment",
        ConcludeForm,
        (
            "What the experiment came to stands beside its result, for the next one who asks.",
            "Shoppers see the variant that ships, or the control when none does, within 2 seconds.",
        ),
        "has its conclusion.",
    ),
    "delete": Verb(
        "delete",
        "Delete draft",
        "delete_experiment",
        DeleteForm,
        ("The draft is gone; its audit trail stays.",),
        "is deleted.",
        is_danger=True,
    ),
}


def offered_verbs(request: HttpRequest, experiment: Experiment) -> list[Verb]:
    """List the verbs that are legal now and that this person may use, in the order of the buttons."""
    legal = {*legal_moves(experiment.status), *(("renew", *_ramp_moves(experiment)) if experiment.is_running else ())}
    return [verb for verb in VERBS.values() if verb.name in legal and _may(request, verb)]


def _ramp_moves(experiment: Experiment) -> tuple[str, ...]:
    has_next = experiment.ramp_step is not None and experiment.ramp_step < len(experiment.ramp_plan)
    is_climbing = experiment.ramp_state == RampState.CLIMBING
    return (*(("advance_ramp",) if has_next else ()), *(("stop_ramp",) if is_climbing else ()))


def _may(request: HttpRequest, verb: Verb) -> bool:
    return bool(request.user.has_perm(f"catalog_experiments.{verb.permission}"))


@requires("view_experiment")
def verb_page(request: HttpRequest, slug: str, verb: str) -> HttpResponse:
    """Ask before a verb (GET) and carry it out (POST)."""
    chosen = VERBS[verb]
    if not _may(request, chosen):
        raise PermissionDenied
    experiment = Experiment.objects.prefetch_related("variants__bundle").filter(slug=slug).first()
    if experiment is None:
        raise Http404(f"No experiment {slug!r}.")
    form = chosen.form(request.POST or None, experiment=experiment)
    if request.method == "POST" and form.is_valid():
        try:
            _carry_out(request, chosen, experiment, form)
        except (IllegalMove, RampRefused, StaleVersion, ReasonRequired, PreflightFailed) as refusal:
            form.add_error(None, refusal_sentence(refusal))
        else:
            messages.success(request, f"{experiment.name} {chosen.done}")
            return redirect("control-center" if verb == "delete" else "control-center-experiment", *_target(verb, slug))
    return show(
        request,
        "verb.html",
        title=f"{chosen.label}: {experiment.name}",
        status=409 if form.errors else 200,
        verb=chosen,
        effects=_effects(chosen, experiment),
        experiment=experiment,
        form=form,
        checks=_checks(request, chosen, slug),
        differences=pending_differences(experiment),
    )


def _effects(verb: Verb, experiment: Experiment) -> tuple[str, ...]:
    if verb.name != "resume":
        return verb.effects
    if experiment.pause_cause in (PauseCause.BREACHED, PauseCause.OUTAGE):
        return (*verb.effects, "A guardrail had paused it: a new phase opens and counts from zero.")
    if experiment.pending_changes:
        return (
            *verb.effects,
            "What was saved since goes live too; changed offers open a new phase that counts from zero.",
        )
    return (*verb.effects, "The same phase goes on, with the numbers so far.")


def _target(verb: str, slug: str) -> tuple[str, ...]:
    return () if verb == "delete" else (slug,)


def _checks(request: HttpRequest, verb: Verb, slug: str) -> Sequence[Check]:
    return service_for(request).preflight(slug, now=timezone.now()) if verb.name in ("publish", "resume") else ()


def _carry_out(request: HttpRequest, verb: Verb, experiment: Experiment, form: VerbForm) -> None:
    act = getattr(service_for(request), verb.name)
    act(
        experiment.slug,
        now=timezone.now(),
        expected_version=form.cleaned_data["lock_version"],
        **form.arguments(),
    )


def refusal_sentence(refusal: Exception) -> str:
    """Say in one sentence why the domain refused, and what to do about it."""
    match refusal:
        case StaleVersion():
            return "Somebody changed this experiment while you looked at it. Nothing was done; read the page again."
        case PreflightFailed():
            return "The launch checklist has failing checks. Nothing was done; fix them first."
        case ReasonRequired():
            return "A reason is needed. Nothing was done; say why in one sentence."
    return f"{refusal}"


@require_POST
@requires("view_experiment")
def evaluate_now(request: HttpRequest, slug: str) -> HttpResponse:
    """Judge the guardrails on the present numbers and show the verdicts; stores nothing and never pauses."""
    report = service_for(request).evaluate(slug, now=timezone.now())
    return show(
        request, "evaluate.html", title=f"Evaluated now: {slug}", report=report, slug=slug, cause=PauseCause.BREACHED
    )
