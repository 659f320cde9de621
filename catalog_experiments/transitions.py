"""Which moves the lifecycle allows: the one table, and the refusal of everything else. Pure."""

from __future__ import annotations

from collections.abc import Mapping

_LEGAL: Mapping[str, tuple[str, ...]] = {
    "draft": ("publish", "delete"),
    "running": ("publish", "pause", "complete"),
    "paused": ("resume", "complete"),
    "completed": ("conclude", "clone"),
}

_DONE: Mapping[str, str] = {
    "publish": "published",
    "pause": "paused",
    "resume": "resumed",
    "complete": "completed",
    "conclude": "concluded",
    "clone": "cloned",
    "delete": "deleted",
}


class IllegalMove(RuntimeError):
    """The lifecycle knows no such move from the present status; nothing was changed."""

    def __init__(self, status: str, verb: str, legal: tuple[str, ...]) -> None:
        """Keep the present status, the refused verb and what would be allowed."""
        refused = f"be {_DONE[verb]}" if verb in _DONE else verb
        instead = " or ".join(_DONE[move] for move in legal)
        super().__init__(f"A {status} experiment cannot {refused}; it can be {instead}.")
        self.status = status
        self.verb = verb
        self.legal = legal


def legal_moves(status: str) -> tuple[str, ...]:
    """Return the verbs that a status allows; of a completed experiment only the conclusion can be filled in.

    >>> legal_moves("paused")
    ('resume', 'complete')
    """
    return _LEGAL[status]


def require_legal(status: str, verb: str) -> None:
    """Let a legal move pass.

    Raises:
        IllegalMove: the status does not allow the verb.
    """
    if verb not in _LEGAL[status]:
        raise IllegalMove(status, verb, _LEGAL[status])
