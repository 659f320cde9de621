"""A storefront process whose clock runs faster: says in a line of JSON each time its answer for one visitor changes.

Arguments: how many seconds pass in one, the experiment, the visitor. Ends when standard input does.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "smplat.settings")
django.setup()

from storefront import document  # noqa: E402 - Django first
from storefront.decisions import decide  # noqa: E402


def watch(pace: int, slug: str, unit_id: str, ended: threading.Event) -> None:
    """Ask all the time, in place of shoppers."""
    document.POLL_SECONDS = 1 / pace
    reader = document.install(document.DocumentReader(clock=lambda: time.monotonic() * pace))
    said = None
    while not ended.wait(0.005):
        decision = decide(unit_id, {}, slug=slug)
        answer = (decision.reason, decision.variant_key, decision.is_enrolled) if decision else None
        if answer != said:
            said = answer
            sys.stdout.write(json.dumps({"answer": answer, "age_seconds": reader.age_seconds()}) + "\n")
            sys.stdout.flush()


def until_input_ends(ended: threading.Event) -> None:
    """Set the event once nobody writes to this process any more."""
    sys.stdin.read()
    ended.set()


if __name__ == "__main__":
    over = threading.Event()
    threading.Thread(target=until_input_ends, args=[over], daemon=True).start()
    watch(int(sys.argv[1]), sys.argv[2], sys.argv[3], over)
