"""Keys that callers of the HTTP API present."""

from django.db import models

from catalog_experiments.models.fields import time_ordered_key


class ApiKey(models.Model):
    """One caller's key: only the SHA-256 of its secret is kept, and the first characters to recognise it by.

    `scopes` is a list drawn from read, evaluate, ingest, operate. A client key is public: it may only
    evaluate, read the payload and send exposures.
    """

    class Kind(models.TextChoices):
        """Where the key may live."""

        SERVER = "server", "Server"
        CLIENT = "client", "Client (public)"

    id = time_ordered_key()
    name = models.CharField(max_length=100, unique=True)
    kind = models.CharField(max_length=16, choices=Kind.choices, default=Kind.SERVER)
    prefix = models.CharField(max_length=16)
    secret_digest = models.CharField(max_length=64, unique=True)
    scopes = models.JSONField(default=list)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "catalog_api_keys"
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(condition=models.Q(kind__in=["server", "client"]), name="api_key_kind_known")
        ]

    def __str__(self) -> str:
        """Name the key by its purpose, never its secret."""
        return f"{self.name} ({self.prefix}…)"


class CallCount(models.Model):
    """How often a caller has called the HTTP API in the newest minute it called in; unlogged, and deleted soon after.

    `caller` is a stored key's id, the name of a key from the environment, or the digest of an address.
    """

    caller = models.CharField(max_length=64, primary_key=True)
    window_at = models.DateTimeField(help_text="When the minute began.")
    calls = models.PositiveIntegerField()

    class Meta:
        db_table = "catalog_api_call_counts"

    def __str__(self) -> str:
        """Name the row by caller and minute."""
        return f"{self.caller} at {self.window_at:%Y-%m-%d %H:%M}"
