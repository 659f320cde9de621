"""How far long work is: it tells whoever watches. Pure."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Told a stage, how much of it is done, and of how much."""


def tell_nobody(stage: str, done: int, total: int) -> None:
    """Stand in for a watcher where nobody watches."""
