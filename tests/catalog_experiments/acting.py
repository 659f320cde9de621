"""Short forms of the verbs, and what the storefront and the tables say afterwards."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable
from typing import Any

from django.db import connection

from catalog_experiments import drafting, lifecycle, publication
from catalog_experiments.drafting.specification import ExperimentChanges, VariantSpec, stored_spec
from catalog_experiments.models import Experiment, ExperimentEvent, Phase
from tests.builders import NOON, make_experiment

ACTOR = "user:mara"
LATER = NOON + dt.timedelta(hours=5)


def publish(experiment: Experiment, *, now: dt.datetime = NOON, **arguments: Any) -> Experiment:
    return lifecycle.publish(experiment.pk, actor=ACTOR, now=now, **arguments)


def pause(experiment: Experiment, *, now: dt.datetime = LATER, **arguments: Any) -> Experiment:
    return lifecycle.pause(experiment.pk, actor=ACTOR, now=now, **{"reason": "odd numbers", **arguments})


def edit(experiment: Experiment, **changes: Any) -> Experiment:
    return drafting.update(experiment.pk, ExperimentChanges(**changes), actor=ACTOR, now=NOON)


def variants_of(experiment: Experiment, **test_changes: Any) -> tuple[VariantSpec, ...]:
    """Return the stored variants with changes to the test variant."""
    control, test = stored_spec(experiment).variants
    fields = {name: getattr(test, name) for name in test.__slots__}
    return control, VariantSpec(**(fields | test_changes))


def stored(experiment: Experiment) -> Experiment:
    """Return the experiment as it stands in the table now, with its phase."""
    return Experiment.objects.select_related("current_phase").get(pk=experiment.pk)


def entry_of(slug: str) -> dict[str, Any]:
    document = publication.load_document()
    assert document is not None
    return next(entry for entry in document["experiments"] if entry["slug"] == slug)


def phase_of(experiment: Experiment) -> Phase:
    phase = Experiment.objects.get(pk=experiment.pk).current_phase
    assert phase is not None
    return phase


def last_event(experiment: Experiment) -> ExperimentEvent:
    return experiment.events.order_by("-id")[0]


def on_one_page(slug: str) -> Experiment:
    """Make a draft on the cup's page."""
    return make_experiment(slug=slug, name=slug)


def at_once(*calls: Callable[[], object]) -> list[BaseException | None]:
    """Run the calls in threads that start together, each on its own connection; return what each raised."""
    start, outcomes = threading.Barrier(len(calls)), [None] * len(calls)

    def run(index: int, call: Callable[[], object]) -> None:
        try:
            start.wait()
            call()
        except BaseException as error:
            outcomes[index] = error  # type: ignore[call-overload]  # a list of Nones at first
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(index, call)) for index, call in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return list(outcomes)
