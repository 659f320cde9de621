"""What a chunk of reports says of one unit in one phase, folded into the row it becomes. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from catalog_experiments.intake.claims import Claim
from catalog_experiments.intake.screening import least_reason

Key = tuple[bytes, bytes]
"""Key of the phase, and digest of the unit: sorts as the rows do."""


@dataclass(slots=True)
class Sighting:
    """All reports of one unit in one phase within a chunk, folded into one row; `places` are theirs in the chunk."""

    places: list[int]
    claim: Claim
    segments: bytes | None
    claimed_key: str | None
    is_holdout: bool
    excluded_as: str | None = None
    is_mixed: bool = False

    @classmethod
    def of(cls, claim: Claim, segments: bytes | None, place: int, excluded_as: str | None = None) -> Sighting:
        """Return what one report says. What a bot was shown is nobody's fault: only the computed variant is kept."""
        claimed_key = claim.claimed_key if excluded_as is None else None
        return cls([place], claim, segments, claimed_key, claim.is_holdout, excluded_as)

    @property
    def seen_key(self) -> str:
        """Return the variant the client showed."""
        return self.claimed_key or self.claim.variant_key

    def fold(self, other: Sighting) -> None:
        """Take in another report: the least (time, variant key, segments) stays, and the least wrong claim."""
        self.places += other.places
        self.is_mixed |= other.seen_key != self.seen_key
        self.is_holdout |= other.is_holdout
        self.excluded_as = least_reason(self.excluded_as, other.excluded_as)
        self.claimed_key = min(filter(None, (self.claimed_key, other.claimed_key)), default=None)
        if _order(other) < _order(self):
            self.claim, self.segments = other.claim, other.segments


def _order(sighting: Sighting) -> tuple[datetime, str, bool, bytes]:
    claim, segments = sighting.claim, sighting.segments
    return claim.exposed_at, claim.variant_key, segments is None, segments or b""
