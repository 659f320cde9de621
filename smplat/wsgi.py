"""The web application for a WSGI server (granian by default)."""

import gc
import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "smplat.settings")
os.environ.setdefault("SMPLAT_ROLE", "web")

from django.core.wsgi import get_wsgi_application

application = get_wsgi_application()

# What is loaded now stays for the life of the process: without it the collector's full rounds, each of which holds up
# every request for tens of milliseconds, have next to nothing to look through.
gc.collect()
gc.freeze()
