"""What PostgreSQL's own processes cost: prints the processor seconds of the backends that serve others, as JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from django.db import connection

NANOSECONDS = 1e9
OTHERS = """
SELECT pid FROM pg_stat_activity
WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()"""


def main() -> None:
    """Print the seconds so far of all that are connected to this database now."""
    with connection.cursor() as cursor:
        cursor.execute(OTHERS)
        json.dump(sum(processor_seconds(pid) for (pid,) in cursor.fetchall()), sys.stdout)


def processor_seconds(pid: int) -> float:
    """Return how long a process ran on a processor: the first of the numbers that /proc gives in `schedstat`."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / NANOSECONDS
