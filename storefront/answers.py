"""What a decision route answers: a status, ready bytes and headers, before any framework wraps them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer: its body as ready bytes, its headers by their usual names (`Content-Type` among them).

    An `ETag` among the headers is quoted, strong, and hashes everything in the body that may not go stale; the fast
    path compares it with `If-None-Match` and makes the 304.
    """

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
