"""Receivers on this machine that behave as badly as a test asks: an HTTP peer (Slack, webhook) and a mail server."""

from __future__ import annotations

import asyncio
import contextlib
import email
import email.policy
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import cast

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

from smplat.local_environment import free_port

LONGEST_HANG_SECONDS = 20.0


@dataclass(frozen=True)
class Received:
    """One request as it came in; `at` is monotonic seconds."""

    path: str
    headers: dict[str, str]
    body: bytes
    at: float


Behavior = Callable[["_Handler"], None]


def answer(status: int = 200, body: str = "ok", **headers: str) -> Behavior:
    """Reply so; `Retry_After="7"` becomes the header Retry-After."""

    def behave(handler: _Handler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body.encode())))
        handler.end_headers()
        handler.wfile.write(body.encode())

    return behave


def reset(handler: _Handler) -> None:
    """Cut the connection hard after the request was read."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()
    handler.close_connection = True


def hang(handler: _Handler) -> None:
    """Read the request and say nothing until the sink ends."""
    handler.sink.ended.wait(LONGEST_HANG_SECONDS)
    handler.close_connection = True


@dataclass
class HttpSink:
    """An HTTP peer: it plays its script one request at a time, and says 200 "ok" when the script is over."""

    script: deque[Behavior] = field(default_factory=deque)
    received: list[Received] = field(default_factory=list)
    default: Behavior = field(default_factory=answer)
    ended: threading.Event = field(default_factory=threading.Event)
    port: int = 0

    def url(self, path: str = "/services/T000/B000/SECRETSECRET") -> str:
        """Return the address of the sink, with a path that looks like a Slack webhook's."""
        return f"http://127.0.0.1:{self.port}{path}"


class _Handler(BaseHTTPRequestHandler):
    sink: HttpSink
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.sink.received.append(Received(self.path, dict(self.headers), body, time.monotonic()))
        behave = self.sink.script.popleft() if self.sink.script else self.sink.default
        with contextlib.suppress(OSError):
            behave(self)

    def log_message(self, *args: object) -> None:
        return


@contextlib.contextmanager
def http_sink() -> Iterator[HttpSink]:
    """Listen on a free loopback port until the block ends."""
    sink = HttpSink()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"sink": sink}))
    server.daemon_threads = True
    sink.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield sink
    finally:
        sink.ended.set()
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class SmtpSink:
    """A mail server; set its attributes to make it refuse.

    `greeting`, `data_reply`: said instead of welcome and thanks. `recipient_replies`: by address. `cut_after_data`:
    take the mail and hang up without a word, that many times. `hang_on_data`: take it and say nothing. `credentials`:
    the only user and password let in.
    """

    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    recipient_replies: dict[str, str] = field(default_factory=dict)
    data_reply: str = ""
    mail_reply: str = ""
    cut_after_data: int = 0
    hang_on_data: bool = False
    credentials: tuple[bytes, bytes] | None = None
    ended: threading.Event = field(default_factory=threading.Event)

    async def handle_MAIL(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Take the sender, or say what the test asked for."""
        if self.mail_reply:
            return self.mail_reply
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Take a recipient, or refuse this one."""
        if reply := self.recipient_replies.get(address):
            return reply
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Take the mail, and then perhaps not say so."""
        if self.data_reply:
            return self.data_reply
        content = envelope.content if isinstance(envelope.content, bytes) else b""
        self.mails.append(email.message_from_bytes(content, policy=email.policy.default))
        self.recipients += envelope.rcpt_tos
        if self.cut_after_data:
            self.cut_after_data -= 1
            cast("asyncio.Transport", server.transport).abort()
        if self.hang_on_data:
            await server.loop.run_in_executor(None, self.ended.wait, LONGEST_HANG_SECONDS)
        return "250 OK"

    def authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: object
    ) -> AuthResult:
        """Let in whoever has the credentials."""
        offered = (getattr(data, "login", None), getattr(data, "password", None))
        return AuthResult(success=offered == self.credentials, handled=False)


@contextlib.contextmanager
def smtp_sink() -> Iterator[SmtpSink]:
    """Listen on a free loopback port until the block ends."""
    sink = SmtpSink(port=free_port(0))
    controller = Controller(
        sink,
        hostname="127.0.0.1",
        port=sink.port,
        authenticator=sink.authenticate,
        auth_require_tls=False,
        enable_SMTPUTF8=False,
    )
    controller.start()
    try:
        yield sink
    finally:
        sink.ended.set()
        controller.stop(no_assert=True)
