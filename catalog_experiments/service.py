"""The one domain call of API and admin: look experiments up by slug, and hand over to the verb modules."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Prefetch, QuerySet

from catalog_experiments import backtest, bundles, drafting, enforcement, lifecycle, publication, ramping
from catalog_experiments.bundles import (
    BundleChanges,
    BundleInUse,
    BundleNotFound,
    BundleSpec,
    DuplicateBundle,
    InvalidBundle,
)
from catalog_experiments.drafting import DuplicateSlug
from catalog_experiments.drafting.specification import UNSET, ExperimentChanges, ExperimentSpec, VariantSpec
from catalog_experiments.drafting.validation import InvalidExperiment
from catalog_experiments.enforcement import EvaluationReport
from catalog_experiments.field_errors import FieldError, InvalidFields
from catalog_experiments.locking import ExperimentNotFound
from catalog_experiments.models import Bundle, ExclusionGroup, Experiment, ExperimentStatus, Holdout, Variant
from catalog_experiments.preflight import Check, run_preflight
from catalog_experiments.progress import Progress, tell_nobody
from catalog_experiments.transitions import IllegalMove, legal_moves

__all__ = [
    "BundleChanges",
    "BundleInUse",
    "BundleNotFound",
    "BundleSpec",
    "CatalogExperimentService",
    "DuplicateBundle",
    "DuplicateSlug",
    "ExperimentChanges",
    "ExperimentNotFound",
    "ExperimentSpec",
    "InvalidBundle",
    "InvalidExperiment",
    "InvalidFields",
    "VariantSpec",
]

LARGEST_PAGE = 1000
_BY_STATUS = "Asked for by its status."


class CatalogExperimentService:
    """Everything a caller may do with experiments, under the name of one actor ("user:...", "key:...", "system:...").

    Every verb raises `ExperimentNotFound` for an unknown slug and `StaleVersion` when the experiment changed since
    `expected_version` was read; what else a verb raises stands with the function it hands over to.
    """

    def __init__(self, actor: str) -> None:
        """Act for `actor`, whose name stands in every event."""
        self.actor = actor

    def list(self, *, limit: int = 100, before: str | None = None) -> tuple[Experiment, ...]:
        """Return experiments, newest created first, in a constant number of queries.

        Args:
            limit: how many at most.
            before: slug of the last one of the page before, None for the first page.

        Raises:
            ExperimentNotFound: there is no experiment `before`.
        """
        experiments = _loaded()
        if before is not None:
            experiments = experiments.filter(pk__lt=_id_of(before))
        return tuple(experiments.order_by("-pk")[: min(limit, LARGEST_PAGE)])

    def get(self, slug: str) -> Experiment:
        """Return one experiment with its variants and bundles."""
        experiment = _loaded().filter(slug=slug).first()
        if experiment is None:
            raise ExperimentNotFound(f"There is no experiment {slug!r}.")
        return experiment

    def create(self, spec: ExperimentSpec, *, now: datetime) -> Experiment:
        """Store a new draft (`drafting.create_draft`)."""
        drafting.create_draft(spec, actor=self.actor, now=now)
        return self.get(spec.slug)

    def draft_errors(self, spec: ExperimentSpec, *, now: datetime) -> Sequence[FieldError]:
        """Say everything for which `create` would refuse a draft; stores nothing (`drafting.draft_errors`)."""
        return drafting.draft_errors(spec, now=now)

    def edit_errors(self, slug: str, changes: ExperimentChanges, *, now: datetime) -> Sequence[FieldError]:
        """Say everything for which `update` would refuse the fields; stores nothing (`drafting.edit_errors`)."""
        return drafting.edit_errors(self.get(slug), changes, now=now)

    def clone_errors(self, slug: str, *, new_slug: str, name: str, now: datetime) -> Sequence[FieldError]:
        """Say everything for which `clone` would refuse the new draft; stores nothing."""
        return drafting.draft_errors(drafting.clone_of(self.get(slug), slug=new_slug, name=name), now=now)

    def update(
        self, slug: str, changes: ExperimentChanges, *, now: datetime, expected_version: int | None = None
    ) -> Experiment:
        """Edit fields (`drafting.update`), then make the move that `changes.status` asks for, in one transaction.

        The present status is no move. Running publishes a draft and resumes a paused experiment.

        Raises:
            IllegalMove: no verb leads from the present status to the wanted one.
        """
        with transaction.atomic():
            experiment = drafting.update(
                _id_of(slug), changes, actor=self.actor, now=now, expected_version=expected_version
            )
            if changes.status is not UNSET:
                self._move(experiment, changes.status, reason=changes.reason, now=now)
        return self.get(slug)

    def clone(self, slug: str, *, new_slug: str, name: str, now: datetime) -> Experiment:
        """Make a new draft like this experiment (`lifecycle.clone`)."""
        lifecycle.clone(_id_of(slug), slug=new_slug, name=name, actor=self.actor, now=now)
        return self.get(new_slug)

    def delete(self, slug: str, *, now: datetime, expected_version: int | None = None) -> None:
        """Delete a draft (`lifecycle.delete_draft`)."""
        lifecycle.delete_draft(_id_of(slug), actor=self.actor, now=now, expected_version=expected_version)

    def publish(self, slug: str, *, now: datetime, **arguments: Any) -> Experiment:
        """Make a draft, or pending edits, live (`lifecycle.publish`, which takes the other arguments)."""
        return self._hand_over(lifecycle.publish, slug, now=now, **arguments)

    def pause(self, slug: str, *, now: datetime, **arguments: Any) -> Experiment:
        """Serve the control to everyone (`lifecycle.pause`)."""
        return self._hand_over(lifecycle.pause, slug, now=now, **arguments)

    def resume(self, slug: str, *, now: datetime, **arguments: Any) -> Experiment:
        """Serve the variants again (`lifecycle.resume`)."""
        return self._hand_over(lifecycle.resume, slug, now=now, **arguments)

    def complete(self, slug: str, *, now: datetime, **arguments: Any) -> Experiment:
        """End an experiment for good (`lifecycle.complete`)."""
        return self._hand_over(lifecycle.complete, slug, now=now, **arguments)

    def conclude(self, slug: str, *, now: datetime, **arguments: Any) -> Experiment:
        """Fill in the conclusion of a completed experiment (`lifecycle.conclude`)."""
        return self._hand_over(lifecycle.conclude, slug, now=now, **arguments)

    def renew(self, slug: str, *, now: datetime, **arguments: Any) -> Experiment:
        """Start the count of a running experiment again, in a new phase (`lifecycle.open_new_phase`)."""
        return self._hand_over(lifecycle.open_new_phase, slug, now=now, **arguments)

    def advance_ramp(self, slug: str, *, now: datetime, **arguments: Any) -> Experiment:
        """Take the next step of a ramp now (`ramping.advance`)."""
        return self._hand_over(ramping.advance, slug, now=now, **arguments)

    def stop_ramp(self, slug: str, *, now: datetime, **arguments: Any) -> Experiment:
        """Let a ramp climb no further (`ramping.stop`)."""
        return self._hand_over(ramping.stop, slug, now=now, **arguments)

    def preflight(self, slug: str, *, now: datetime) -> tuple[Check, ...]:
        """Return the launch checklist (`preflight.run_preflight`)."""
        return run_preflight(self.get(slug), now=now)

    def evaluate(self, slug: str, *, now: datetime, enforce: bool = False) -> EvaluationReport:
        """Judge the guardrails on the present numbers; only with `enforce` is anything stored, paused or alerted."""
        if enforce:
            enforcement.evaluate(_id_of(slug), now=now, trigger="manual")
        return enforcement.report(self.get(slug), now=now)

    def backtest_guardrails(
        self,
        slug: str,
        *,
        now: datetime,
        config: Mapping[str, object] | None = None,
        minimum_sample: int | None = None,
        options: backtest.Options | None = None,
        progress: Progress = tell_nobody,
    ) -> backtest.Backtest:
        """Try guardrails out on an experiment's past (`backtest.backtest_experiment`); its own where none are given.

        Raises:
            InvalidExperiment: the proposed guardrails are not valid.
            GuardrailConfigError: none are given, and the stored ones are not valid.
        """
        experiment = self.get(slug)
        proposal = backtest.proposal_of(config, minimum_sample, experiment=experiment)
        wanted = options or backtest.Options()
        return backtest.backtest_experiment(experiment, proposal, wanted, now=now, progress=progress)

    def backtest_bundle_guardrails(
        self,
        bundle_slug: str,
        *,
        now: datetime,
        config: Mapping[str, object] | None = None,
        minimum_sample: int | None = None,
        options: backtest.Options | None = None,
        progress: Progress = tell_nobody,
    ) -> backtest.Backtest:
        """Try guardrails out on a bundle's past (`backtest.backtest_bundle`).

        Raises:
            BundleNotFound: there is no such bundle.
            InvalidExperiment: the proposed guardrails are not valid.
        """
        bundle = Bundle.objects.filter(bundle_slug=bundle_slug).first()
        if bundle is None:
            raise BundleNotFound(f"There is no bundle {bundle_slug[:150]!r}.")
        proposal, wanted = backtest.proposal_of(config, minimum_sample), options or backtest.Options()
        return backtest.backtest_bundle(bundle, proposal, wanted, now=now, progress=progress)

    def create_bundle(self, spec: BundleSpec, *, now: datetime) -> Bundle:
        """Store a new bundle (`bundles.create_bundle`)."""
        return bundles.create_bundle(spec, actor=self.actor, now=now)

    def update_bundle(self, bundle_slug: str, changes: BundleChanges, *, now: datetime) -> Bundle:
        """Edit a bundle (`bundles.update_bundle`)."""
        return bundles.update_bundle(bundle_slug, changes, actor=self.actor, now=now)

    def delete_bundle(self, bundle_slug: str, *, now: datetime) -> None:
        """Delete a bundle that nothing measured (`bundles.delete_bundle`)."""
        bundles.delete_bundle(bundle_slug, actor=self.actor, now=now)

    def create_group(self, slug: str, name: str, *, now: datetime) -> ExclusionGroup:
        """Store a new exclusion group (`publication.create_group`)."""
        return publication.create_group(slug, name, actor=self.actor, now=now)

    def set_holdout(self, size: int, *, group_slug: str | None = None, now: datetime) -> Holdout:
        """Hold units out of a group's experiments, or of all (`publication.set_holdout`)."""
        return publication.set_holdout(size, group_slug=group_slug, actor=self.actor, now=now)

    def _hand_over(self, verb: Callable[..., object], slug: str, **arguments: Any) -> Experiment:
        verb(_id_of(slug), actor=self.actor, **arguments)
        return self.get(slug)

    def _move(self, experiment: Experiment, wanted: str, *, reason: str, now: datetime) -> None:
        if wanted == experiment.status:
            return
        act: dict[tuple[str, str], Any] = {
            (ExperimentStatus.DRAFT, ExperimentStatus.RUNNING): lifecycle.publish,
            (ExperimentStatus.PAUSED, ExperimentStatus.RUNNING): lifecycle.resume,
            (ExperimentStatus.RUNNING, ExperimentStatus.PAUSED): lifecycle.pause,
            (ExperimentStatus.RUNNING, ExperimentStatus.COMPLETED): lifecycle.complete,
            (ExperimentStatus.PAUSED, ExperimentStatus.COMPLETED): lifecycle.complete,
        }
        verb = act.get((experiment.status, wanted))
        if verb is None:
            raise IllegalMove(experiment.status, f"become {wanted}", legal_moves(experiment.status))
        # Only what runs again may be asked why by the domain itself, so no reason is made up for it.
        said = reason if wanted == ExperimentStatus.RUNNING else reason or _BY_STATUS
        verb(experiment.pk, actor=self.actor, now=now, reason=said)


def _loaded() -> QuerySet[Experiment]:
    variants = Prefetch("variants", queryset=Variant.objects.select_related("bundle"))
    return Experiment.objects.select_related("owner", "current_phase", "winner").prefetch_related(variants)


def _id_of(slug: str) -> UUID:
    found = Experiment.objects.filter(slug=slug).values_list("pk", flat=True).first()
    if found is None:
        raise ExperimentNotFound(f"There is no experiment {slug!r}.")
    return found
