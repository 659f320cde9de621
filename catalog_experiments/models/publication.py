"""What the storefront was told: published documents, and each variant's payload while it was live."""

import json
from typing import Any

from django.db import models

from catalog_experiments.models.experiment import Experiment, Variant
from catalog_experiments.models.fields import time_ordered_key
from catalog_experiments.models.phase import Phase


class OverridePublication(models.Model):
    """Snapshot of a variant's payload at publish or roll-back, with the span in which it was live."""

    id = time_ordered_key()
    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="override_publications")
    phase = models.ForeignKey(Phase, on_delete=models.CASCADE, related_name="override_publications")
    variant = models.ForeignKey(Variant, on_delete=models.SET_NULL, null=True, related_name="override_publications")
    variant_key = models.CharField(max_length=100)
    bundle_slug = models.CharField(max_length=150, blank=True)
    payload = models.JSONField(default=dict)
    is_rollback = models.BooleanField(default=False)
    provenance = models.CharField(max_length=64, default="catalog-experiment-service")
    active_from_at = models.DateTimeField()
    active_to_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "catalog_bundle_override_publications"
        ordering = ["-active_from_at"]

    def __str__(self) -> str:
        """Name the snapshot by variant and start."""
        return f"{self.variant_key} from {self.active_from_at:%Y-%m-%d %H:%M}"


class PublishedDocument(models.Model):
    """One immutable version of what every storefront process serves, as the JSON text that is served."""

    version = models.PositiveBigIntegerField(primary_key=True)
    text = models.TextField(db_column="document")
    etag = models.CharField(max_length=64)
    issued_at = models.DateTimeField()

    class Meta:
        db_table = "catalog_published_documents"
        ordering = ["-version"]

    def __str__(self) -> str:
        """Name the document by its version."""
        return f"document {self.version}"

    @property
    def document(self) -> dict[str, Any]:
        """The document itself, parsed anew at each call."""
        return dict(json.loads(self.text))
