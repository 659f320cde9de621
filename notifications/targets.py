"""Where alerts go: the targets that the settings name, each under a name that may be shown."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings

SLACK, EMAIL, WEBHOOK = "slack", "email", "webhook"


@dataclass(frozen=True)
class Target:
    """One way to people: the channel that knows how, a showable name, and for mail the recipient's address."""

    channel: str
    name: str
    recipient: str = ""


def configured_targets() -> tuple[Target, ...]:
    """Return every target that is set up, Slack first; empty when none is."""
    slack = (Target(SLACK, "guardrail-slack"),) if settings.BUNDLE_EXPERIMENT_GUARDRAIL_SLACK_WEBHOOK_URL else ()
    webhook = (Target(WEBHOOK, "alert-webhook"),) if settings.ALERT_WEBHOOK_URL else ()
    return slack + _mail_targets() + webhook


def _mail_targets() -> tuple[Target, ...]:
    if not settings.SMTP_HOST:  # Django's fallback would write the mail to a log and call it sent
        return ()
    wanted = (recipient.strip() for recipient in settings.BUNDLE_EXPERIMENT_GUARDRAIL_EMAIL_RECIPIENTS)
    once = {recipient.lower(): recipient for recipient in wanted if recipient}
    return tuple(Target(EMAIL, "guardrail-email", recipient) for recipient in once.values())
