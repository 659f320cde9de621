"""Pages that tell telemetry what happened once the shopper has them: late or broken, it costs nobody a page."""

from __future__ import annotations

import logging

from django.http import HttpResponse, HttpResponseRedirect
from django.utils import timezone

from catalog_experiments import intake
from storefront import shop

logger = logging.getLogger(__name__)


class ShopPage(HttpResponse):
    """A page of the shop; `exposure` is recorded, and with `has_order` waiting orders reported, after it was sent."""

    exposure: intake.ExposureEvent | None = None
    has_order = False

    def close(self) -> None:
        """Record what is due after the last byte was handed over; telemetry never raises from here."""
        try:
            self._report()
        except Exception:
            logger.exception("telemetry failed after a page; the shopper has it already")
        finally:
            super().close()

    def _report(self) -> None:
        exposure, self.exposure = self.exposure, None
        if exposure is not None:
            intake.record_exposures([exposure], now=timezone.now())
        if self.has_order:
            self.has_order = False
            shop.report_due(now=timezone.now())


class ShopRedirect(ShopPage, HttpResponseRedirect):
    """The same for a way on to another page."""
