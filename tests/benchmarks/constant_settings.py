"""The project's settings without a single middleware: for views that show what the frameworks cost at the least."""

from smplat.settings import *  # noqa: F403

MIDDLEWARE = []
ROOT_URLCONF = "tests.benchmarks.constants"
