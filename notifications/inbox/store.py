"""What the local inbox has received: one JSON file a message, so that a restart loses nothing."""

from __future__ import annotations

import json
import os
import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

KEPT_MESSAGES = 500


@dataclass(frozen=True)
class Entry:
    """One received message: `kind` is "email", "slack" or "webhook"; `content` is what the receiver made of it."""

    name: str
    kind: str
    received_at: datetime
    content: Mapping[str, Any]


@dataclass
class Inbox:
    """A folder of messages, the newest `limit` of which are kept. Safe to use from many threads of one process."""

    folder: Path
    limit: int = KEPT_MESSAGES
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def keep(self, kind: str, content: Mapping[str, Any], *, now: datetime) -> None:
        """Store a message, and forget the oldest beyond the limit."""
        # The name sorts by time; its end keeps two messages of one microsecond apart.
        name = f"{now.astimezone(UTC):%Y%m%dT%H%M%S%f}-{secrets.token_hex(4)}.json"
        text = json.dumps({"kind": kind, "received_at": now.isoformat(), "content": dict(content)})
        with self._lock:
            self.folder.mkdir(parents=True, exist_ok=True)
            draft = self.folder / f".{name}"
            draft.write_text(text, encoding="utf-8")
            os.replace(draft, self.folder / name)
            for old in self._names()[self.limit :]:
                (self.folder / old).unlink(missing_ok=True)

    def newest(self, count: int) -> list[Entry]:
        """Return at most `count` messages, newest first; a file that can't be read is left out."""
        entries = (self._entry(name) for name in self._names()[:count])
        return [entry for entry in entries if entry is not None]

    def count(self) -> int:
        """Return how many messages are kept."""
        return len(self._names())

    def newest_name(self) -> str:
        """Return a word that changes with every arrival; empty before the first."""
        return next(iter(self._names()), "")

    def _names(self) -> list[str]:
        if not self.folder.is_dir():
            return []
        return sorted((name for name in os.listdir(self.folder) if name[:1].isdigit()), reverse=True)

    def _entry(self, name: str) -> Entry | None:
        try:
            stored = json.loads((self.folder / name).read_text(encoding="utf-8"))
            received_at = datetime.fromisoformat(stored["received_at"])
            return Entry(name, stored["kind"], received_at, stored["content"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
