"""Who may call the HTTP API: keys are issued once, kept as digests, and recognized in constant time."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Q

from catalog_experiments.models import ApiKey

LAST_USED_GRAIN = timedelta(minutes=1)  # a write per call would make each read a write
PREFIX_LENGTH = 8

# By hand: every call asks, and composing the statement costs more than running it.
VALID_KEY = """
SELECT * FROM catalog_api_keys
WHERE secret_digest = %s AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > %s)
"""


class Scope(StrEnum):
    """What a key may do; `evaluate` is asking for a visitor's decision, not judging guardrails."""

    READ = "read"
    EVALUATE = "evaluate"
    INGEST = "ingest"
    OPERATE = "operate"


ALL_SCOPES = frozenset(Scope)
CLIENT_SCOPES = frozenset(
    {Scope.EVALUATE}
)  # a public key: decisions, the payload and exposures, whatever else it was given


class InvalidKeyRequest(ValueError):
    """A key can't be issued as asked for; the message says what to change."""


@dataclass(frozen=True)
class Caller:
    """Whoever presented a valid key. `key_id` is None for a key from the environment."""

    name: str
    kind: str
    scopes: frozenset[Scope]
    key_id: UUID | None = None

    @property
    def is_authenticated(self) -> bool:
        """Say yes, as DRF asks of every user."""
        return True

    @property
    def actor(self) -> str:
        """Name the caller as the audit trail does."""
        return f"key:{self.name}"


@dataclass(frozen=True)
class IssuedKey:
    """A new key with its secret, which is never readable again."""

    key: ApiKey
    secret: str


def issue_key(
    name: str,
    *,
    kind: str = ApiKey.Kind.SERVER,
    scopes: Iterable[str] = (),
    expires_at: datetime | None = None,
) -> IssuedKey:
    """Make a key of 256 random bits and return its secret once; only the digest is stored.

    A client key gets the client scopes whatever `scopes` says.

    Raises:
        InvalidKeyRequest: a blank or taken name, an unknown kind or scope, or a server key without scopes.
    """
    granted = _granted(kind, scopes)
    if not name.strip():
        raise InvalidKeyRequest("Give the key a name that says who will use it.")
    secret = f"sm{'c' if kind == ApiKey.Kind.CLIENT else 's'}_{secrets.token_urlsafe(32)}"
    try:
        with transaction.atomic():
            key = ApiKey.objects.create(
                name=name.strip(),
                kind=kind,
                prefix=secret[:PREFIX_LENGTH],
                secret_digest=digest_secret(secret),
                scopes=sorted(granted),
                expires_at=expires_at,
            )
    except IntegrityError as taken:
        raise InvalidKeyRequest(f"There is a key named {name.strip()!r} already; choose another name.") from taken
    return IssuedKey(key, secret)


def _granted(kind: str, scopes: Iterable[str]) -> frozenset[Scope]:
    if kind not in ApiKey.Kind.values:
        raise InvalidKeyRequest(f"{kind!r} is no kind of key; use one of {', '.join(ApiKey.Kind.values)}.")
    if kind == ApiKey.Kind.CLIENT:
        return CLIENT_SCOPES
    asked = set(scopes)
    if unknown := sorted(asked - ALL_SCOPES):
        raise InvalidKeyRequest(f"Unknown scope {', '.join(unknown)}; there are {', '.join(Scope)}.")
    if not asked:
        raise InvalidKeyRequest(f"Name at least one scope of {', '.join(Scope)}.")
    return frozenset(Scope(scope) for scope in asked)


def digest_secret(secret: str) -> str:
    """Return the SHA-256 of a key as 64 hex digits; a 256-bit random secret needs no salt and no stretching."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def recognize(secret: str, *, now: datetime) -> Caller | None:
    """Return who presents `secret`, or None for an unknown, revoked or expired one.

    One path for all of them: the digest is computed, looked up and compared whatever is configured. Notes the use
    of a stored key, at most once a minute.
    """
    digest = digest_secret(secret)
    found: Caller | None = None
    for known, caller in environment_callers().items():
        if hmac.compare_digest(known, digest):
            found = caller
    key = next(iter(ApiKey.objects.raw(VALID_KEY, [digest, now])), None)
    if key is not None and hmac.compare_digest(key.secret_digest, digest):
        _note_use(key, now)
        found = found or _caller(key)
    return found


def environment_callers() -> Mapping[str, Caller]:
    """Return the callers of the keys in the environment by digest; an unset key is nobody's."""
    callers = {}
    if settings.STOREFRONT_CLIENT_KEY:
        storefront = Caller("storefront-client", ApiKey.Kind.CLIENT, CLIENT_SCOPES)
        callers[digest_secret(settings.STOREFRONT_CLIENT_KEY)] = storefront
    if settings.CHECKOUT_API_KEY:
        checkout = Caller("checkout", ApiKey.Kind.SERVER, ALL_SCOPES)
        callers[digest_secret(settings.CHECKOUT_API_KEY)] = checkout
    return callers


@dataclass(frozen=True)
class StoredKey:
    """A key of the database as a process keeps it in memory; `expires_at` None means never."""

    caller: Caller
    expires_at: datetime | None


def stored_keys(*, now: datetime) -> Mapping[str, StoredKey]:
    """Return every valid key of the database by its digest, in one query: for routes that may not ask per call."""
    return {key.secret_digest: StoredKey(_caller(key), key.expires_at) for key in ApiKey.objects.filter(_valid(now))}


def note_uses(key_ids: Iterable[UUID], *, now: datetime) -> None:
    """Note that stored keys were used about now, in one statement."""
    ApiKey.objects.filter(pk__in=list(key_ids)).update(last_used_at=now)


def _valid(now: datetime) -> Q:
    return Q(revoked_at__isnull=True) & (Q(expires_at__isnull=True) | Q(expires_at__gt=now))


def _caller(key: ApiKey) -> Caller:
    allowed = CLIENT_SCOPES if key.kind == ApiKey.Kind.CLIENT else ALL_SCOPES
    return Caller(key.name, key.kind, frozenset(Scope(scope) for scope in key.scopes if scope in allowed), key.pk)


def _note_use(key: ApiKey, now: datetime) -> None:
    stale = Q(last_used_at__isnull=True) | Q(last_used_at__lt=now - LAST_USED_GRAIN)
    if key.last_used_at is None or key.last_used_at < now - LAST_USED_GRAIN:
        ApiKey.objects.filter(stale, pk=key.pk).update(last_used_at=now)
