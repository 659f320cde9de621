#!/usr/bin/env python
"""Django's command line for this project."""

import os
import sys


def main() -> None:
    """Run the command named on the command line; settings that cannot be used are told in a line."""
    from django.core.exceptions import ImproperlyConfigured

    try:
        _run()
    except ImproperlyConfigured as error:
        if "--traceback" in sys.argv:
            raise
        sys.exit(f"The settings cannot be used. {error}")


def _run() -> None:
    if sys.argv[1:2] == ["up"]:  # before Django: where it runs first, there are no keys and no database yet
        from smplat.supervisor import main as supervise

        sys.exit(supervise())
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "smplat.settings")
    roles = {"run_sweeper": "sweeper", "runserver": "web"}  # each role has its own limits in the database
    os.environ.setdefault("SMPLAT_ROLE", roles.get(sys.argv[1] if len(sys.argv) > 1 else "", "batch"))
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
