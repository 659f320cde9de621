"""Admin pages of alerts; imported by the admin's autodiscovery."""

from notifications.admin.alert import AlertAdmin
from notifications.admin.delivery import DeliveryAdmin, TargetHealthAdmin

__all__ = ["AlertAdmin", "DeliveryAdmin", "TargetHealthAdmin"]
