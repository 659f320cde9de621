"""The web application for a WSGI server (granian by default)."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "smplat.settings")
os.environ.setdefault("SMPLAT_ROLE", "web")

from django.core.wsgi import get_wsgi_application

application = get_wsgi_application()
