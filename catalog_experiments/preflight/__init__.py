"""The launch checklist as executable checks: what would go wrong, in words, with the place to fix it.

Stands before `lifecycle.publish`, which refuses on a failing check; admin, API and `manage.py preflight` show the
same list.
"""

from catalog_experiments.preflight.checklist import failures, run_preflight, warnings
from catalog_experiments.preflight.launch import Check

__all__ = ["Check", "failures", "run_preflight", "warnings"]
