"""The limit of calls a minute, as DRF asks for it; what is left stands in the headers of every answer."""

from __future__ import annotations

from django.conf import settings
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from catalog_experiments.access import Caller
from catalog_experiments.allowances import name_of, take


class CallerThrottle(BaseThrottle):
    """Counts each call for its key, or without a valid one for its address, over all processes."""

    def allow_request(self, request: Request, view: APIView) -> bool:
        """Count the call, and say whether it is within API_RATE_LIMIT."""
        caller = request.user if isinstance(request.user, Caller) else None
        name = name_of(caller, str(request.META.get("REMOTE_ADDR", "")))
        allowance = take(name, limit=settings.API_RATE_LIMIT, now=timezone.now())
        if allowance is None:
            return True
        view.headers.update(allowance.headers())
        return not allowance.is_exceeded
