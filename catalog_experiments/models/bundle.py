"""Bundles a product page may offer, and how often orders took them."""

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from catalog_experiments.models.fields import PATH_SAFE_SLUG, time_ordered_key


class StockState(models.TextChoices):
    """What the shop says about the stock of a bundle's components."""

    UNKNOWN = "unknown", "Unknown"
    IN_STOCK = "in_stock", "In stock"
    LOW = "low", "Low"
    OUT_OF_STOCK = "out_of_stock", "Out of stock"


class BundleQuerySet(models.QuerySet["Bundle"]):
    """Questions about many bundles."""

    def active(self) -> "BundleQuerySet":
        """Keep the bundles that may be offered."""
        return self.filter(is_active=True)

    def anchored_on(self, product_slugs: list[str]) -> "BundleQuerySet":
        """Keep the bundles whose product page is one of `product_slugs`."""
        return self.filter(primary_product_slug__in=product_slugs)


class Bundle(models.Model):
    """One offer: take these components together, on the page of the primary product.

    `components` is a list of `{"slug": str, "quantity": int >= 1}`; money is in minor units of `currency`;
    `cms_override` is the payload the product page applies while no experiment runs on the slot.
    """

    id = time_ordered_key()
    bundle_slug = models.CharField(max_length=150, unique=True, validators=[PATH_SAFE_SLUG])
    primary_product_slug = models.CharField(max_length=150, db_index=True)
    title = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    savings_copy = models.CharField(max_length=200, blank=True)
    cms_priority = models.PositiveSmallIntegerField(
        default=100,
        validators=[MinValueValidator(0), MaxValueValidator(200)],
        help_text="0 to 200; the lower, the more prominent.",
    )
    components = models.JSONField(default=list, help_text='List of {"slug": ..., "quantity": ...}.')
    price_minor = models.BigIntegerField(null=True, blank=True, help_text="Bundle price in minor units (cents).")
    cost_minor = models.BigIntegerField(null=True, blank=True, help_text="Cost of the bundle in minor units.")
    currency = models.CharField(max_length=3, default="EUR")
    is_active = models.BooleanField(default=True)
    stock_state = models.CharField(max_length=16, choices=StockState.choices, default=StockState.UNKNOWN)
    cms_override = models.JSONField(default=dict, blank=True)
    metadata = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = BundleQuerySet.as_manager()

    class Meta:
        db_table = "catalog_bundles"
        ordering = ["-created_at"]
        constraints = [
            models.CheckConstraint(condition=models.Q(cms_priority__lte=200), name="bundle_priority_range"),
            models.CheckConstraint(
                condition=models.Q(price_minor__isnull=True) | models.Q(price_minor__gte=0),
                name="bundle_price_positive",
            ),
            models.CheckConstraint(
                condition=models.Q(cost_minor__isnull=True) | models.Q(cost_minor__gte=0), name="bundle_cost_positive"
            ),
            models.CheckConstraint(condition=models.Q(currency__regex=r"^[A-Z]{3}$"), name="bundle_currency_iso"),
            models.CheckConstraint(
                condition=models.Q(stock_state__in=StockState.values), name="bundle_stock_state_known"
            ),
        ]

    def __str__(self) -> str:
        """Name the bundle by its slug."""
        return self.bundle_slug


class BundleAcceptanceMetric(models.Model):
    """How many eligible orders of a sliding look-back took the bundle; one current row per look-back."""

    id = time_ordered_key()
    bundle = models.ForeignKey(Bundle, on_delete=models.CASCADE, related_name="acceptance_metrics")
    lookback_days = models.PositiveSmallIntegerField(default=30)
    acceptance_rate = models.DecimalField(max_digits=6, decimal_places=4, default=0)
    acceptance_count = models.PositiveBigIntegerField(default=0)
    sample_size = models.PositiveBigIntegerField(default=0)
    last_accepted_at = models.DateTimeField(null=True, blank=True)
    computed_at = models.DateTimeField()
    metadata = models.JSONField(default=dict, blank=True)

    class Meta:
        db_table = "catalog_bundle_acceptance_metrics"
        ordering = ["bundle", "lookback_days"]
        constraints = [
            models.UniqueConstraint(fields=["bundle", "lookback_days"], name="acceptance_metric_bundle_lookback"),
            models.CheckConstraint(
                condition=models.Q(acceptance_rate__gte=0, acceptance_rate__lte=1), name="acceptance_metric_rate_range"
            ),
            models.CheckConstraint(
                condition=models.Q(acceptance_count__lte=models.F("sample_size")),
                name="acceptance_metric_count_in_sample",
            ),
            models.CheckConstraint(
                condition=models.Q(lookback_days__gte=1), name="acceptance_metric_lookback_positive"
            ),
        ]

    def __str__(self) -> str:
        """Name the row by bundle and look-back."""
        return f"{self.bundle_id} over {self.lookback_days} days"


class BundleAcceptanceHour(models.Model):
    """How many eligible orders of one UTC hour say something about a bundle, and took it: sliding sums add up these."""

    pk = models.CompositePrimaryKey("hour_at", "bundle_id")
    hour_at = models.DateTimeField()
    bundle = models.ForeignKey(Bundle, on_delete=models.CASCADE, related_name="+", db_index=False, db_constraint=False)
    sample_size = models.PositiveIntegerField()
    acceptance_count = models.PositiveIntegerField()
    last_accepted_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "catalog_bundle_acceptance_hours"

    def __str__(self) -> str:
        """Name the row by bundle and hour."""
        return f"{self.bundle_id} at {self.hour_at:%Y-%m-%d %H:00}"
