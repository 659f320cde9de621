"""`python -m smplat.ask_health URL`: exit 0 when a health page answers 200, for a container's HEALTHCHECK.

Asks under the first of ALLOWED_HOSTS, since the site refuses names it does not know.
"""

from __future__ import annotations

import os
import sys
import urllib.request


def main(address: str) -> int:
    """Return the exit code."""
    host = os.environ.get("ALLOWED_HOSTS", "localhost").split(",")[0]
    request = urllib.request.Request(address, headers={"Host": host})  # noqa: S310 - the image names the address
    try:
        with urllib.request.urlopen(request, timeout=4) as answer:  # noqa: S310 - as above
            return 0 if answer.status == 200 else 1
    except OSError as failure:
        print(failure, file=sys.stderr)  # noqa: T201 - a command line
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
