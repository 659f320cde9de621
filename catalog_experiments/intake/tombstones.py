"""Refuse what names an erased unit, however it comes back: as a replay, late, or in an import."""

from __future__ import annotations

from django.conf import settings
from django.db import connection

from catalog_experiments.intake.events import Refused
from catalog_experiments.models import ErasedUnit
from catalog_experiments.units import digests_of_unit

ERASED = Refused("erased", "The unit was erased at a person's request; nothing is stored of it again.")


class Tombstones:
    """Which units of a batch were erased, under whichever key their tombstone stands."""

    def __init__(self) -> None:
        """Start without any unit."""
        self._unit_ids = set[str]()

    def note(self, unit_id: str) -> None:
        """Take in a unit of the batch, by its raw id."""
        self._unit_ids.add(unit_id)

    @property
    def may_stand_under_older_keys(self) -> bool:
        """Say whether the digests of the rows are not enough to find them."""
        return len(settings.UNIT_ID_HASH_KEY) > 1

    def older_digests(self) -> dict[bytes, tuple[bytes, ...]]:
        """Return the digests that rows of the noted units may stand under, by the one under the newest key."""
        known = ([digest.bytes for digest in digests_of_unit(unit_id)] for unit_id in self._unit_ids)
        return {newest: tuple(older) for newest, *older in known}

    def erased(self) -> set[bytes]:
        """Return the digests, under the newest key, of the noted units that were erased.

        Call it inside the transaction that writes, before it does: reading the table holds off an erasure until the
        commit, and an erasure under way holds off the reading, so that no report slips between the two.
        """
        if not self._unit_ids or not _are_there_any():
            return set()
        newest = {digest: digests[0].bytes for digests in map(digests_of_unit, self._unit_ids) for digest in digests}
        found = ErasedUnit.objects.filter(digest__in=newest).values_list("digest", flat=True)
        return {newest[digest] for digest in found}


def _are_there_any() -> bool:
    # By hand: every batch asks, and mostly there are none.
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT 1 FROM catalog_erased_units)")
        return bool(cursor.fetchone()[0])
