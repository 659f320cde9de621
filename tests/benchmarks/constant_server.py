"""The WSGI application of the constant views."""

import gc
import os

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.benchmarks.constant_settings"

from django.core.wsgi import get_wsgi_application

application = get_wsgi_application()

# As the real server does.
gc.collect()
gc.freeze()
