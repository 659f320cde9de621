"""Checks that block a publish: an experiment that fails one could not be measured, or would break a page."""

from __future__ import annotations

from collections.abc import Iterator

from django.conf import settings

from catalog_experiments.assignment import AllocationError, allowed_coverage
from catalog_experiments.drafting.payloads import payload_errors
from catalog_experiments.drafting.specification import VariantSpec
from catalog_experiments.drafting.validation import guardrail_errors, targeting_errors
from catalog_experiments.models import Experiment
from catalog_experiments.preflight.launch import BUNDLES_URL, Check, Launch, Outcome
from catalog_experiments.publication.slots import running_rivals, waits


def check_variants(launch: Launch) -> Check:
    """Exactly one control and at least one test."""
    controls = sum(variant.is_control for variant in launch.spec.variants)
    tests = len(launch.spec.variants) - controls
    faults = []
    if controls != 1:
        faults.append(f"There are {controls} controls; mark exactly one variant as the control.")
    if tests < 1:
        faults.append("There is no test variant; add one.")
    sound = f"One control, {tests} test{'s' if tests > 1 else ''}."
    return launch.found("variants", faults, sound, outcome="fail")


def check_weights(launch: Launch) -> Check:
    """Weights that split the traffic into whole basis points."""
    weights = [variant.weight for variant in launch.spec.variants]
    try:
        coverage = allowed_coverage(weights, launch.spec.coverage)
    except AllocationError as refused:
        return Check("weights", "fail", str(refused), launch.edit_url)
    shares = " : ".join(str(weight) for weight in weights) if any(weights) else "equal"
    return launch.passed("weights", f"Weights {shares}, {coverage / 100:g} % of the visitors.")


def check_bundles(launch: Launch) -> Check:
    """Every offered bundle exists, is active and belongs to one product page."""
    pages = launch.pages
    faults = [fault for variant in launch.spec.variants for fault in _bundle_faults(launch, variant)]
    if len(pages) > 1:
        faults.append(f"The bundles belong to different product pages ({', '.join(pages)}); offer one page's bundles.")
    sound = f"Every bundle exists and is active, on one product page: {', '.join(pages)}."
    return launch.found("bundles", faults, sound, outcome="fail", fix_url=_bundles_url(launch))


def check_payloads(launch: Launch) -> Check:
    """Override payloads that a page may apply."""
    faults = [
        f"{variant.key}: {error.message}"
        for variant in launch.spec.variants
        for error in payload_errors("override_payload", variant.override_payload)
    ]
    return launch.found("payloads", faults, "Override payloads are valid.", outcome="fail")


def check_guardrails(launch: Launch) -> Check:
    """Guardrail settings that are known, in range, and agree with each other."""
    faults = [error.message for error in guardrail_errors(launch.spec.guardrail_config)]
    return launch.found("guardrails", faults, "Guardrails are valid and agree with each other.", outcome="fail")


def check_targeting(launch: Launch) -> Check:
    """A targeting condition that server and SDKs evaluate alike."""
    faults = [error.message for error in targeting_errors(launch.spec.targeting)]
    sound = "The targeting is valid." if launch.spec.targeting else "No targeting: every visitor of the page counts."
    return launch.found("targeting", faults, sound, outcome="fail")


def check_exclusion_group(launch: Launch) -> Check:
    """A range of the exclusion group that no other running experiment takes."""
    spec = launch.spec
    if spec.exclusion_group is None:
        return launch.passed("exclusion_group", "No exclusion group: a visitor may meet other experiments too.")
    running = Experiment.objects.running().exclude(pk=launch.experiment.pk)
    rivals = running.filter(
        exclusion_group__slug=spec.exclusion_group,
        exclusion_start__lt=spec.exclusion_end,
        exclusion_end__gt=spec.exclusion_start,
    )
    faults = [
        f"{rival.slug} runs on {rival.exclusion_start} to {rival.exclusion_end} of the group {spec.exclusion_group}, "
        f"which overlaps {spec.exclusion_start} to {spec.exclusion_end}; choose a range beside it."
        for rival in rivals.order_by("exclusion_start", "slug")
    ]
    sound = f"Buckets {spec.exclusion_start} to {spec.exclusion_end} of the group {spec.exclusion_group} are free."
    return launch.found("exclusion_group", faults, sound, outcome="fail")


def check_slot(launch: Launch) -> Check:
    """No other running experiment on the same product page; a warning unless the shop blocks overlaps."""
    outcome: Outcome = "fail" if settings.EXPERIMENT_OVERLAP == "block" else "warn"
    rivals = ", ".join(slug for page in launch.pages for slug in _rival_slugs(launch, page))
    faults = []
    if rivals:
        faults.append(f"{rivals} runs on the same product page and keeps its slot.")
        faults.append("Until the slot comes free this experiment serves the control to everyone and counts nobody.")
    return launch.found("slot", faults, "The page's slot is free.", outcome=outcome)


def _bundle_faults(launch: Launch, variant: VariantSpec) -> Iterator[str]:
    if variant.bundle_slug is None:
        if not variant.is_control:
            yield f"{variant.key} has no bundle; only a control may come without."
    elif (bundle := launch.bundles.get(variant.bundle_slug)) is None:
        yield f"The bundle {variant.bundle_slug} of {variant.key} does not exist."
    elif not bundle.is_active:
        yield f"The bundle {variant.bundle_slug} of {variant.key} is not active."


def _bundles_url(launch: Launch) -> str:
    idle = [bundle for bundle in launch.bundles.values() if not bundle.is_active]
    return f"{BUNDLES_URL}{idle[0].pk}/change/" if idle else launch.edit_url


def _rival_slugs(launch: Launch, page: str) -> list[str]:
    if _holds(launch.experiment, page):
        return []
    return list(running_rivals(launch.experiment.pk, page).order_by("slug").values_list("slug", flat=True))


def _holds(experiment: Experiment, page: str) -> bool:
    phase = experiment.current_phase
    return experiment.is_running and not waits(experiment) and phase is not None and phase.anchor_product_slug == page
