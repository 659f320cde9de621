"""What a document promises an experiment's visitors: written down with it, so that somebody goes and looks."""

from __future__ import annotations

from datetime import datetime, timedelta

from catalog_experiments.models import Experiment, LiveConfirmation

FIRST_LOOK_AFTER = timedelta(seconds=2)
"""Every process reads the newest document each second: a look before that would only find the old one."""


def promise(experiment: Experiment, version: int, *, now: datetime) -> LiveConfirmation:
    """Note that document `version` serves the experiment as it is now; earlier promises to it are nobody's business.

    Call it in the transaction that writes the document. Safe to repeat for the same version.
    """
    earlier = LiveConfirmation.objects.filter(experiment=experiment, document_version__lt=version)
    earlier.filter(next_look_at__isnull=False).update(next_look_at=None)
    kept, _ = LiveConfirmation.objects.get_or_create(
        experiment=experiment,
        document_version=version,
        defaults={"status": experiment.status, "promised_at": now, "next_look_at": now + FIRST_LOOK_AFTER},
    )
    return kept
