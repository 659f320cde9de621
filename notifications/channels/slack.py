"""Slack by incoming webhook. Its words decide before its status code does: several errors share one code."""

from __future__ import annotations

import json

import requests
from django.conf import settings

from notifications.channels.envelope import Envelope
from notifications.channels.outbound import post
from notifications.channels.replies import classified, failed_exchange
from notifications.messages import slack_payload
from notifications.outcomes import Outcome, OutcomeClass, scrubbed

HOSTS = frozenset({"hooks.slack.com", "hooks.slack-gov.com"})
GONE_WORDS = frozenset(
    {
        "no_service",
        "no_active_hooks",
        "no_team",
        "channel_not_found",
        "channel_is_archived",
        "action_prohibited",
        "posting_to_general_channel_denied",
        "team_disabled",
        "invalid_token",
        "user_not_found",
    }
)
BAD_MESSAGE_WORDS = frozenset({"invalid_payload", "no_text", "too_many_attachments", "invalid_blocks", "msg_too_long"})


def send(envelope: Envelope) -> Outcome:
    """Post the message to the configured webhook; never raises for what the peer does."""
    url = settings.BUNDLE_EXPERIMENT_GUARDRAIL_SLACK_WEBHOOK_URL
    if not url:
        return Outcome(OutcomeClass.GONE, None, "No Slack webhook is configured any more.", is_target_wide=True)
    channel = settings.BUNDLE_EXPERIMENT_GUARDRAIL_SLACK_CHANNEL
    payload = slack_payload(envelope.notice, channel=channel, is_plain=envelope.is_plain)
    body = json.dumps(payload, ensure_ascii=False).encode()
    try:
        reply = post(url, body=body, headers={"Content-Type": "application/json; charset=utf-8"}, hosts=HOSTS)
    except (requests.RequestException, OSError, ValueError) as error:
        return failed_exchange(error)
    return _read_words(reply.text, reply.status, url) or classified(reply, url, now=envelope.sent_at)


def _read_words(text: str, status: int, url: str) -> Outcome | None:
    word = text.strip().split(" ", 1)[0].strip('".:,')[:64]
    if word in GONE_WORDS:
        return Outcome(OutcomeClass.GONE, status, word, is_target_wide=True)
    if word in BAD_MESSAGE_WORDS:
        return Outcome(OutcomeClass.BAD_MESSAGE, status, word)
    if status == 200 and word != "ok":  # a captive portal or a proxy says 200 too
        return Outcome(OutcomeClass.TRANSIENT, status, scrubbed(text, url), is_target_wide=True)
    return None
