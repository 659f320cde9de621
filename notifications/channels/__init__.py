"""The ways a message can go: a plain dict from a channel's name to the function that sends."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from notifications.channels import email, slack, webhook
from notifications.channels.envelope import Envelope
from notifications.outcomes import Outcome
from notifications.targets import EMAIL, SLACK, WEBHOOK

__all__ = ["CHANNELS", "SECONDS_BETWEEN", "Channel", "Envelope"]

Channel = Callable[[Envelope], Outcome]

CHANNELS: Mapping[str, Channel] = {SLACK: slack.send, EMAIL: email.send, WEBHOOK: webhook.send}

# The pace a target bears; Slack allows one message a second to a webhook.
SECONDS_BETWEEN: dict[str, float] = {SLACK: 1.0, EMAIL: 0.0, WEBHOOK: 0.0}
