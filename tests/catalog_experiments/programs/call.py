"""A process that counts calls: `call.py NAME LIMIT NOW TIMES`; prints what is left after each, as a JSON list."""

from __future__ import annotations

import datetime as dt
import json
import os
import sys

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "smplat.settings")
django.setup()

from catalog_experiments.allowances import take  # noqa: E402 - Django first

if __name__ == "__main__":
    name, limit, now, times = sys.argv[1], int(sys.argv[2]), dt.datetime.fromisoformat(sys.argv[3]), int(sys.argv[4])
    taken = [take(name, limit=limit, now=now) for _ in range(times)]
    print(json.dumps([each and each.left for each in taken]))  # noqa: T201 - what it is run for
