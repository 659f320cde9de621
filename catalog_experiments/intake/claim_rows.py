"""What the claims of a batch are checked against, as it is stored: experiments and phases, without what serving needs.

Plain rows and no models: a batch of a hundred names fifty experiments, whose bundles and payloads nobody asks for here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import F, Func, JSONField, Value

from catalog_experiments.intake import columns
from catalog_experiments.models import Experiment, Phase

# A row's place and the transaction that wrote it change with every change of the row.
MARKS = """
SELECT slug,
    hash_record_extended(ROW(id, ctid, xmin), 0)
    # coalesce((SELECT bit_xor(hash_record_extended(ROW(id, ctid, xmin), 1)) FROM catalog_bundle_experiment_phases
        WHERE experiment_id = experiment.id), 0)
    # coalesce((SELECT bit_xor(hash_record_extended(ROW(id, ctid, xmin), 2)) FROM catalog_holdouts), 0)
FROM catalog_bundle_experiments AS experiment WHERE slug = ANY(%s)
"""


class ExperimentRow(NamedTuple):
    """An experiment; the group's columns are null outside a group."""

    pk: UUID
    slug: str
    unit_kind: str
    forced_units: dict[str, str]
    coverage: int
    exclusion_group__pk: UUID | None
    exclusion_group__salt: str | None
    exclusion_start: int
    exclusion_end: int


class PhaseRow(NamedTuple):
    """A phase; `keys` and `weights` are those of its variants, control first."""

    pk: UUID
    experiment_id: UUID
    number: int
    salt: str
    opened_at: datetime
    closed_at: datetime | None
    unserved_spans: list[Any]
    origin: str
    facts_retired_at: datetime | None
    keys: list[str]
    weights: list[int]


def read_marks(slugs: Collection[str]) -> dict[str, int]:
    """Return a number for each experiment there is that changes with its row, its phases and the holdouts; one query.

    The salt of an exclusion group, which claims need too, never changes.
    """
    return dict(columns.fetch(MARKS, [list(slugs)]))


def read_experiments(slugs: Collection[str]) -> list[ExperimentRow]:
    """Return the experiments with these slugs; one query."""
    return [
        ExperimentRow(*row) for row in Experiment.objects.filter(slug__in=slugs).values_list(*ExperimentRow._fields)
    ]


def read_phases(experiments: Iterable[ExperimentRow]) -> dict[UUID, list[PhaseRow]]:
    """Return the phases of each experiment by its id, oldest first; one query."""
    known = Phase.objects.filter(experiment__in=[experiment.pk for experiment in experiments])
    rows = known.annotate(keys=_of_variants("key"), weights=_of_variants("weight")).order_by("number")
    found: dict[UUID, list[PhaseRow]] = defaultdict(list)
    for row in rows.values_list(*PhaseRow._fields):
        phase = PhaseRow(*row)
        found[phase.experiment_id].append(phase)
    return found


def _of_variants(name: str) -> Func:
    return Func(
        F("variants"),
        Value(f"$[*].{name}"),
        function="jsonb_path_query_array",
        template="%(function)s(%(expressions)s)",
        output_field=JSONField(),
    )
