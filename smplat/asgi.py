"""The web application for an ASGI server, for sites that run one; WSGI costs less here."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "smplat.settings")
os.environ.setdefault("SMPLAT_ROLE", "web")

from django.core.asgi import get_asgi_application

application = get_asgi_application()
