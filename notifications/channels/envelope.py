"""What a channel gets: the notice, for whom it is, and which try this is. No database row, no transaction."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from notifications.messages import Notice


@dataclass(frozen=True)
class Envelope:
    """One message to one recipient; `is_plain` asks for the plainest form, after the peer refused the rich one."""

    delivery_id: UUID
    notice: Notice
    sent_at: datetime
    recipient: str = ""
    is_plain: bool = False
