"""A signed webhook: a CloudEvent, signed as Standard Webhooks describes, to an address of the operator's choice."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from dataclasses import replace
from datetime import datetime

import orjson
import requests
from django.conf import settings

from notifications.channels.envelope import Envelope
from notifications.channels.outbound import post
from notifications.channels.replies import classified, failed_exchange
from notifications.messages import cloud_event
from notifications.outcomes import Outcome, OutcomeClass

SECRET_PREFIX = "whsec_"  # noqa: S105 - the public prefix of every such secret
GONE_STATUSES = frozenset({401, 403, 404, 410})


def send(envelope: Envelope) -> Outcome:
    """Post the signed event; never raises for what the peer does. Any 2xx counts as received."""
    message_id = f"msg_{envelope.delivery_id.hex}"
    return replace(_sent(envelope, message_id), message_id=message_id)


def _sent(envelope: Envelope, message_id: str) -> Outcome:
    url, secret = settings.ALERT_WEBHOOK_URL, settings.ALERT_WEBHOOK_SECRET
    if not url:
        return Outcome(OutcomeClass.GONE, None, "No webhook is configured any more.", is_target_wide=True)
    body = orjson.dumps(cloud_event(envelope.notice, source=settings.API_BASE_URL))
    headers = {"Content-Type": "application/cloudevents+json; charset=utf-8"}
    try:
        headers |= signed_headers(secret, message_id=message_id, sent_at=envelope.sent_at, body=body)
        reply = post(url, body=body, headers=headers)
    except (requests.RequestException, OSError, ValueError) as error:
        return failed_exchange(error)
    if reply.status in GONE_STATUSES:
        return Outcome(OutcomeClass.GONE, reply.status, f"It answered {reply.status}.", is_target_wide=True)
    return classified(reply, url, secret, now=envelope.sent_at)


def signed_headers(secret: str, *, message_id: str, sent_at: datetime, body: bytes) -> dict[str, str]:
    """Return the three headers of Standard Webhooks; the signature is left out when no secret is configured.

    `message_id` is the same at every try, so that the receiver can drop what it has seen. `secret` is "whsec_" and
    base64, or plain text.
    """
    timestamp = str(int(sent_at.timestamp()))
    headers = {"webhook-id": message_id, "webhook-timestamp": timestamp}
    if secret:
        signed = f"{message_id}.{timestamp}.".encode() + body
        digest = hmac.new(_key(secret), signed, hashlib.sha256).digest()
        headers["webhook-signature"] = f"v1,{base64.b64encode(digest).decode()}"
    return headers


def _key(secret: str) -> bytes:
    if not secret.startswith(SECRET_PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error:
        return secret.encode()
