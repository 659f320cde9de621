"""A local stand-in for Slack and a mail server: it takes every alert of a demo and shows it on one page."""

from __future__ import annotations

from notifications.inbox.receivers import running_inbox
from notifications.inbox.store import Inbox

__all__ = ["Inbox", "running_inbox"]
