"""Log lines as JSON objects, so that whatever collects them need not guess."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime

from smplat.request_ids import current_request_id

STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
UNWANTED = frozenset({"request", "server_time"})  # Django's extras that are objects, or say what we say already


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
