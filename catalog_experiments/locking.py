"""The one place that locks what a transition touches.

Order everywhere: experiments by id, then bundles by slug, the exclusion group, the document, the audit head. Whoever
keeps to it cannot deadlock with another who does.
"""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from catalog_experiments.models import Bundle, ExclusionGroup, Experiment


class ExperimentNotFound(LookupError):
    """No experiment has this id or slug."""


class StaleVersion(RuntimeError):
    """The caller saw an older state of the experiment than the one stored."""

    def __init__(self, expected: int, actual: int) -> None:
        """Keep both lock versions."""
        super().__init__(
            f"The experiment changed since you read it (version {actual}, yours is {expected}); read it again."
        )
        self.expected = expected
        self.actual = actual


def locked_experiment(experiment_id: UUID, expected_version: int | None = None) -> Experiment:
    """Lock one experiment for update and return it fresh; call it inside a transaction.

    Args:
        experiment_id: its primary key.
        expected_version: the lock version the caller saw, or None to take whatever is stored.

    Raises:
        ExperimentNotFound: there is none.
        StaleVersion: the stored lock version is another than the expected one.
    """
    found = Experiment.objects.locked([experiment_id])
    if not found:
        raise ExperimentNotFound("There is no such experiment (any more).")
    experiment = found[0]
    if expected_version is not None and expected_version != experiment.lock_version:
        raise StaleVersion(expected_version, experiment.lock_version)
    return experiment


def locked_bundles(slugs: Iterable[str]) -> dict[str, Bundle]:
    """Lock bundles against change, ordered by slug, and return those that exist by slug.

    Rows that refer to a bundle may still be written meanwhile; call it after the experiments are locked.
    """
    wanted = Bundle.objects.select_for_update(no_key=True).filter(bundle_slug__in=set(slugs)).order_by("bundle_slug")
    return {bundle.bundle_slug: bundle for bundle in wanted}


def lock_group(slug: str | None) -> None:
    """Lock an exclusion group, so that of two experiments that want one range in it one comes first; None is none."""
    if slug is not None:
        ExclusionGroup.objects.select_for_update(no_key=True).filter(slug=slug).first()


def save_change(experiment: Experiment, *fields: str) -> None:
    """Save the named fields of a locked experiment and let its lock version grow by one."""
    experiment.lock_version += 1
    experiment.save(update_fields=[*fields, "lock_version", "updated_at"])
