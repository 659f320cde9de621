"""The wiring of the project: settings, URLs, Celery, health, and the supervisor behind `make run`.

Celery is loaded by `smplat.apps` with Django, not here: the supervisor must start without either.
"""
