"""One person at a keyboard: for each line read from standard input, one verb is carried out and answered with a line.

`move SLUG` pauses a running experiment and resumes a paused one; `publish SLUG ROUND` brings an edit live.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "smplat.settings")
django.setup()

from django.utils import timezone  # noqa: E402 - Django first

from catalog_experiments import drafting, lifecycle  # noqa: E402
from catalog_experiments.drafting.specification import ExperimentChanges  # noqa: E402
from catalog_experiments.models import Experiment  # noqa: E402

ACTOR = "user:mara"


def move(slug: str) -> None:
    """Pause the experiment when it runs, else resume it."""
    experiment = Experiment.objects.get(slug=slug)
    if experiment.is_running:
        lifecycle.pause(experiment.pk, actor=ACTOR, now=timezone.now(), reason="a round")
    else:
        lifecycle.resume(experiment.pk, actor=ACTOR, now=timezone.now())


def publish(slug: str, number: str) -> None:
    """Force another unit and publish that."""
    experiment = Experiment.objects.get(slug=slug)
    changes = ExperimentChanges(forced_units={f"unit-{number}": "test"})
    drafting.update(experiment.pk, changes, actor=ACTOR, now=timezone.now())
    lifecycle.publish(experiment.pk, actor=ACTOR, now=timezone.now())


VERBS: dict[str, Callable[..., None]] = {"move": move, "publish": publish}

if __name__ == "__main__":
    for line in sys.stdin:
        verb, *arguments = line.split()
        VERBS[verb](*arguments)
        sys.stdout.write(f"{verb}\n")
        sys.stdout.flush()
