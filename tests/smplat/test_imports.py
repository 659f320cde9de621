"""What each kind of process loads: the number libraries are for tests, the supervisor needs no framework."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.environment import PROJECT

NUMBER_LIBRARIES = {"numpy", "scipy", "pandas", "statsmodels"}


def loaded_by(code: str) -> set[str]:
    """Return the top-level packages a new process holds after running `code`."""
    report = "import sys; print(' '.join({name.partition('.')[0] for name in sys.modules}))"
    result = subprocess.run(
        [sys.executable, "-c", f"{code}; {report}"], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    return set(result.stdout.split())


@pytest.mark.parametrize(
    "code",
    [
        "import smplat.wsgi, smplat.urls",
        "import smplat.celery, django; django.setup(); smplat.celery.app.loader.import_default_modules()",
    ],
    ids=["web", "worker"],
)
def test_process__loaded__has_no_number_library(code: str) -> None:
    loaded = loaded_by(code)

    assert "django" in loaded
    assert loaded & NUMBER_LIBRARIES == set()


def test_supervisor__loaded__needs_no_framework_and_no_driver() -> None:
    assert loaded_by("import smplat.supervisor") & {"celery", "psycopg", "redis", "rest_framework"} == set()
