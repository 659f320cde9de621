"""The settings of the tests, put into the environment before Django reads it (pytest loads this file by `-p`).

Nothing of the developer's own `.env`, database or mail server gets in.
"""

from __future__ import annotations

import os
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
STATE = PROJECT / ".smplat" / "test"
TEST_ENVIRONMENT = {
    "SMPLAT_STATE_DIR": str(STATE),
    "SMPLAT_ENV_FILE": os.devnull,
    "SMPLAT_ROLE": "batch",
    "EMBEDDED_POSTGRES_DURABLE": "false",
    "DEBUG": "false",
    "HTTPS": "false",
    "SECRET_KEY": "only-for-tests-only-for-tests-only-for-tests-0123456789",
    "UNIT_ID_HASH_KEY": "only-for-tests",
    "CHECKOUT_API_KEY": "test-server-key",
    "STOREFRONT_CLIENT_KEY": "test-client-key",
    "ALLOWED_HOSTS": "testserver,localhost,127.0.0.1",
    "STATIC_ROOT": str(STATE / "staticfiles"),
    "STATIC_FILES": "plain",
    "ALERT_ALLOW_PRIVATE_TARGETS": "true",
    "LOG_FORMAT": "text",
}
FOREIGN = ("DATABASE_URL", "REDIS_URL", "SMTP_", "BUNDLE_", "CATALOG_", "ALERT_", "STOREFRONT_", "API_", "EXPERIMENT_")

for name in [name for name in os.environ if name.startswith(FOREIGN)]:
    del os.environ[name]
os.environ.update(TEST_ENVIRONMENT)
(STATE / "staticfiles").mkdir(parents=True, exist_ok=True)
