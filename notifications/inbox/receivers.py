"""The two doors of the local inbox, on this machine only: SMTP, and HTTP for Slack's and the signed webhook's posts."""

from __future__ import annotations

import contextlib
import email
import email.policy
import json
import logging
import threading
from collections.abc import Iterator
from datetime import tzinfo
from email.message import EmailMessage
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from django.utils import timezone

from notifications.inbox.page import inbox_page
from notifications.inbox.store import Inbox

LOOPBACK = "127.0.0.1"
LARGEST_BODY_BYTES = 1_000_000
LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})


@contextlib.contextmanager
def running_inbox(inbox: Inbox, *, smtp_port: int, http_port: int, zone: tzinfo) -> Iterator[None]:
    """Receive mail and posts until the block ends.

    Raises:
        OSError: A port is taken.
    """
    logging.getLogger("mail.log").setLevel(logging.WARNING)
    handler = type("InboxHandler", (_HttpHandler,), {"inbox": inbox, "zone": zone})
    web = ThreadingHTTPServer((LOOPBACK, http_port), handler)
    web.daemon_threads = True
    thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.1}, name="inbox-http", daemon=True)
    mail = Controller(_MailHandler(inbox), hostname=LOOPBACK, port=smtp_port, data_size_limit=LARGEST_BODY_BYTES)
    with contextlib.ExitStack() as stack:
        stack.callback(web.server_close)
        mail.start()
        stack.callback(mail.stop)
        thread.start()
        stack.callback(web.shutdown)
        yield


class _MailHandler:
    """Takes every mail for everybody."""

    def __init__(self, inbox: Inbox) -> None:
        self.inbox = inbox

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Store one mail."""
        content = envelope.content if isinstance(envelope.content, bytes) else b""
        mail = email.message_from_bytes(content, policy=email.policy.default)
        self.inbox.keep("email", _readable(mail, envelope.rcpt_tos), now=timezone.now())
        return "250 OK"


def _readable(mail: EmailMessage, recipients: list[str]) -> dict[str, object]:
    return {
        "subject": str(mail["Subject"] or ""),
        "sender": str(mail["From"] or ""),
        "recipients": list(recipients),
        "message_id": str(mail["Message-ID"] or ""),
        "text": _part(mail, "plain"),
        "html": _part(mail, "html"),
    }


def _part(mail: EmailMessage, kind: str) -> str:
    part = mail.get_body((kind,))
    if part is None:
        return ""
    try:
        return str(part.get_content())
    except (LookupError, ValueError):  # a character set that nobody knows
        return "This part cannot be read."


class _HttpHandler(BaseHTTPRequestHandler):
    """GET / shows the messages, GET /newest names the newest; POST /slack and /webhook take one."""

    inbox: Inbox
    zone: tzinfo
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "smplat-inbox", ""
    timeout = 10

    def do_GET(self) -> None:
        if self.headers.get("Host", "").rpartition(":")[0] not in LOCAL_NAMES:
            self._answer(HTTPStatus.MISDIRECTED_REQUEST, "This page is for this machine only.")
        elif self.path == "/":
            page = inbox_page(self.inbox, zone=self.zone)
            self._answer(
                HTTPStatus.OK, page.html, "text/html", {"Content-Security-Policy": page.content_security_policy}
            )
        elif self.path == "/newest":
            self._answer(HTTPStatus.OK, self.inbox.newest_name())
        else:
            self._answer(HTTPStatus.NOT_FOUND, "Not found.")

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > LARGEST_BODY_BYTES:
            self.close_connection = True
            self._answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "payload_too_large")
            return
        self._take(self.rfile.read(int(length)))

    def log_message(self, *args: object) -> None:
        """Keep quiet: the page is the log."""

    def _take(self, body: bytes) -> None:
        try:
            content = json.loads(body)
        except (ValueError, RecursionError):
            content = None
        if not isinstance(content, dict):
            self._answer(HTTPStatus.BAD_REQUEST, "invalid_payload")
        elif self.path == "/slack":
            self._take_slack(content)
        elif self.path == "/webhook":
            headers = {
                name.lower(): value for name, value in self.headers.items() if name.lower().startswith("webhook-")
            }
            self._keep("webhook", {"event": content, "headers": headers})
        else:
            self._answer(HTTPStatus.NOT_FOUND, "no_service")

    def _take_slack(self, payload: dict[str, object]) -> None:
        if not payload.get("text") and not payload.get("blocks"):
            self._answer(HTTPStatus.BAD_REQUEST, "no_text")
        else:
            self._keep("slack", {"payload": payload})

    def _keep(self, kind: str, content: dict[str, object]) -> None:
        self.inbox.keep(kind, content, now=timezone.now())
        self._answer(HTTPStatus.OK, "ok")

    def _answer(
        self, status: HTTPStatus, text: str, kind: str = "text/plain", headers: dict[str, str] | None = None
    ) -> None:
        body = text.encode("utf-8", "replace")
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
