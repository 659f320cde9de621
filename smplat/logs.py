"""Where log lines go and how they look: for people as text, for whatever collects them as JSON objects."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any

from smplat.request_ids import current_request_id

STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
UNWANTED = frozenset({"request", "server_time"})  # Django's extras that are objects, or say what we say already


def configuration(log_format: str, level: str) -> dict[str, Any]:
    """Return Django's LOGGING: every line from `level` on goes to standard error, as `json` or `text`."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "json": {"()": "smplat.logs.JsonFormatter"},
            "text": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"},
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": log_format}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            "django": {"handlers": [], "level": level, "propagate": True},
            "django.server": {"handlers": [], "level": level, "propagate": True},
            "urllib3": {"level": "INFO"},  # its debug lines hold the secret addresses of alert webhooks
        },
    }


class JsonFormatter(logging.Formatter):
    """Write time (UTC), level, logger, message, request id, any `extra` values, and the traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if request_id := current_request_id.get():
            line["request_id"] = request_id
        line |= {key: value for key, value in vars(record).items() if key not in STANDARD | UNWANTED}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)
