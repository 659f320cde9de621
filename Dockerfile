# The web server; the same image runs worker, beat and sweeper (compose.yaml). No Docker daemon was at hand to build it in
# this project's checks: tests/smplat/test_container.py reads both files and runs the commands they name without one.
FROM python:3.11-slim AS build
WORKDIR /app
COPY requirements/runtime.txt requirements/
RUN python -m venv /venv && /venv/bin/pip install --no-cache-dir --require-hashes -r requirements/runtime.txt

FROM python:3.11-slim
RUN useradd --system --uid 10001 --create-home smplat
WORKDIR /app
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 DJANGO_SETTINGS_MODULE=smplat.settings
COPY --from=build /venv /venv
COPY manage.py ./
COPY smplat smplat
COPY catalog_experiments catalog_experiments
COPY storefront storefront
COPY notifications notifications
COPY config config
COPY fixtures fixtures
# Keys that are none: this step reads no database and signs nothing.
RUN SECRET_KEY=build UNIT_ID_HASH_KEY=build CHECKOUT_API_KEY=build ALLOWED_HOSTS=build \
    python manage.py collectstatic --no-input --verbosity 0
USER smplat
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s CMD ["python", "-m", "smplat.ask_health", "http://127.0.0.1:8000/livez"]
CMD ["granian", "--interface", "wsgi", "--host", "0.0.0.0", "--port", "8000", "--no-ws", "--workers", "2", "--blocking-threads", "4", "--respawn-failed-workers", "--workers-kill-timeout", "10", "smplat.wsgi:application"]
