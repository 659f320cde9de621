"""Who the document keeps out of an experiment: the range of its exclusion group, and the holdouts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from catalog_experiments.assignment import BUCKETS, Range
from catalog_experiments.models import Holdout


@dataclass(frozen=True, slots=True)
class Exclusions:
    """The holdouts that keep anybody out, by the slug of their group; None is the holdout of the whole shop."""

    held: Mapping[str | None, Holdout]

    def holdouts(self, row: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return who is held out of an experiment, as seeds with the ranges of those held."""
        return [_part(holdout.salt, (0, holdout.size)) for holdout in self._of(row)]

    def filters(self, row: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return what a unit must pass to be enrolled: what the holdouts leave, and the range of the group."""
        left = [_part(holdout.salt, (holdout.size, BUCKETS)) for holdout in self._of(row)]
        if row["exclusion_group_id"] is None:
            return left
        return [*left, _part(row["exclusion_group__salt"], (row["exclusion_start"], row["exclusion_end"]))]

    def _of(self, row: Mapping[str, Any]) -> list[Holdout]:
        slugs = dict.fromkeys((None, row["exclusion_group_id"]))
        return [self.held[slug] for slug in slugs if slug in self.held]


def read_exclusions() -> Exclusions:
    """Read the holdouts, in one query."""
    holdouts: Iterable[Holdout] = Holdout.objects.filter(size__gt=0).select_related("group")
    return Exclusions({holdout.group.slug if holdout.group else None: holdout for holdout in holdouts})


def _part(seed: str, span: Range) -> dict[str, Any]:
    return {"seed": seed, "ranges": [list(span)]}
