"""What holds for all pure modules: the standard library alone, and a worked example in each statistic."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from catalog_experiments import stats

PROJECT = Path(__file__).resolve().parents[3]
PURE = (
    "guardrails",
    "targeting",
    "assignment",
    *(f"stats.{module.name}" for module in pkgutil.iter_modules(stats.__path__)),
)
HASH = {"fnv_hash_fast", "fnvhash"}  # the hash of the assignment in C, and its stand-in where nothing was compiled
WITHOUT_EXAMPLE = {"lower_limit", "mixture_evidence", "upper_limit", "ratio_difference", "merge_old_hours"}


def public_functions() -> Iterator[Callable[..., Any]]:
    for name in PURE[3:]:
        module = importlib.import_module(f"catalog_experiments.{name}")
        yield from (
            each
            for key, each in inspect.getmembers(module, inspect.isfunction)
            if each.__module__ == module.__name__ and not key.startswith("_")
        )


def test_pure_modules__imported_alone__bring_nothing_but_the_standard_library_and_the_hash() -> None:
    modules = ", ".join(f"catalog_experiments.{name}" for name in PURE)
    script = f"import sys; before = set(sys.modules); import {modules}; print(*(set(sys.modules) - before))"

    output = subprocess.run([sys.executable, "-c", script], cwd=PROJECT, capture_output=True, text=True, check=True)

    tops = {name.partition(".")[0] for name in output.stdout.split()}
    assert tops - set(sys.stdlib_module_names) - HASH == {"catalog_experiments"}


@pytest.mark.parametrize("function", list(public_functions()), ids=lambda function: function.__name__)
def test_statistic__public_function__is_documented_with_an_example(function: Callable[..., Any]) -> None:
    text = inspect.getdoc(function) or ""

    assert text.splitlines()[0].endswith(".")
    assert ">>>" in text or function.__name__ in WITHOUT_EXAMPLE
