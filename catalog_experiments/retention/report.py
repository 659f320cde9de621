"""What a run takes, or would take: rows and bytes, per table and per phase."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class PhaseFacts:
    """The exposures of one phase in one table of the database.

    `size_bytes` is their share of the table with its indexes. `is_whole` says that the table holds nothing else worth
    keeping: it is dropped, and its bytes are free at once. Else rows are deleted, and their room is used again.
    """

    experiment: str
    phase: int
    partition: str
    rows: int
    size_bytes: int
    is_whole: bool


@dataclass(frozen=True, slots=True)
class OrderFacts:
    """The orders placed before a moment, and what they said about bundles; `before_at` is None when orders are kept.

    `held_back_by` names the phase that still counts orders older than the rule asks for, '' when none does.
    `size_bytes` is their share of both tables with their indexes.
    """

    before_at: datetime | None
    held_back_by: str
    orders: int = 0
    outcomes: int = 0
    size_bytes: int = 0


@dataclass(frozen=True, slots=True)
class RetentionReport:
    """What left, or would leave. `busy` lists partitions that somebody held all the time: the next run tries again."""

    phases: tuple[PhaseFacts, ...]
    orders: OrderFacts
    busy: tuple[str, ...] = ()

    @property
    def exposures(self) -> int:
        """Return how many exposures."""
        return sum(facts.rows for facts in self.phases)

    @property
    def size_bytes(self) -> int:
        """Return how many bytes, orders and outcomes included."""
        return sum(facts.size_bytes for facts in self.phases) + self.orders.size_bytes

    def counts(self) -> dict[str, Any]:
        """Return the run as the ledger keeps it; `busy` only when a partition could not be taken."""
        counts: dict[str, Any] = {
            "exposures": self.exposures,
            "orders": self.orders.orders,
            "outcomes": self.orders.outcomes,
            "bytes": self.size_bytes,
        }
        return {**counts, "busy": list(self.busy)} if self.busy else counts
