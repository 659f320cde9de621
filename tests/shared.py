"""The data folder: real experiments, real orders and public conformance cases, found by SMPLAT_SHARED."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent


def shared_path(*parts: str) -> Path:
    """Return a path inside the data folder, by default `shared` beside the project; skip the test when it is absent."""
    folder = Path(os.environ.get("SMPLAT_SHARED") or PROJECT.parent / "shared")
    path = folder.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"The data folder has no {'/'.join(parts)}; set SMPLAT_SHARED to where it is.")
    return path
