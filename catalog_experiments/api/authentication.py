"""The key in `X-API-Key` or `Authorization: Bearer`, and nowhere else; without a valid one every call is refused."""

from __future__ import annotations

from django.http import HttpRequest
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from catalog_experiments.access import Caller, recognize

BEARER = "bearer "


def presented_key(request: HttpRequest | Request) -> str | None:
    """Return the key in the request's headers; None when there is none or two that differ."""
    direct = str(request.META.get("HTTP_X_API_KEY", "")).strip()
    authorization = str(request.META.get("HTTP_AUTHORIZATION", "")).strip()
    bearer = authorization[len(BEARER) :].strip() if authorization[: len(BEARER)].lower() == BEARER else ""
    keys = {key for key in (direct, bearer) if key}
    return keys.pop() if len(keys) == 1 else None


class ApiKeyAuthentication(BaseAuthentication):
    """Turn the presented key into a `Caller`; no key and a wrong key get the same answer."""

    def authenticate(self, request: Request) -> tuple[Caller, str]:
        """Return the caller and the key's name.

        Raises:
            AuthenticationFailed: no key, two different keys, or a key that is unknown, revoked or expired.
        """
        secret = presented_key(request)
        caller = recognize(secret, now=timezone.now()) if secret else None
        if caller is None:
            raise AuthenticationFailed("Invalid API key", code="invalid_api_key")
        return caller, caller.name

    def authenticate_header(self, request: Request) -> str:
        """Return the challenge that makes a refusal a 401."""
        return 'Bearer realm="smplat"'
