"""The demo shop's own tables: what it sells, what lies in a basket, what was ordered."""

import datetime as dt
import uuid

from django.db import models
from uuid_utils.compat import uuid7


def time_ordered_id() -> uuid.UUID:
    """Return a UUIDv7: unique, and growing with time."""
    return uuid7()


class StockState(models.TextChoices):
    """Whether a product can be delivered."""

    IN_STOCK = "in_stock", "In stock"
    LOW = "low", "Low"
    OUT_OF_STOCK = "out_of_stock", "Out of stock"


class ProductQuerySet(models.QuerySet["Product"]):
    """Questions about many products."""

    def by_slug(self, slugs: list[str]) -> dict[str, "Product"]:
        """Return the products named, keyed by slug; unknown slugs are absent."""
        return {product.slug: product for product in self.filter(slug__in=slugs)}


class Product(models.Model):
    """One thing the shop sells; money in minor units of `currency`, per piece.

    `art` names the drawing shown as its picture; `details` is a list of `{"title": str, "text": str}`.
    """

    id = models.UUIDField(primary_key=True, default=time_ordered_id, editable=False)
    slug = models.SlugField(max_length=150, unique=True)
    name = models.CharField(max_length=150)
    tagline = models.CharField(max_length=150, blank=True, help_text="Size and color: 250 ml, sea green.")
    description = models.TextField(blank=True)
    category = models.CharField(max_length=60, blank=True, db_index=True)
    price_minor = models.PositiveBigIntegerField(help_text="Price of one piece in minor units (cents).")
    cost_minor = models.PositiveBigIntegerField(null=True, blank=True, help_text="What one piece costs the shop.")
    currency = models.CharField(max_length=3, default="EUR")
    stock_state = models.CharField(max_length=16, choices=StockState.choices, default=StockState.IN_STOCK)
    art = models.SlugField(max_length=40, default="parcel", help_text="Name of the drawing.")
    art_alt = models.CharField(max_length=200, blank=True, help_text="What the drawing shows, for screen readers.")
    details = models.JSONField(default=list, blank=True, help_text='List of {"title": ..., "text": ...}.')
    position = models.PositiveSmallIntegerField(default=100, help_text="The lower, the earlier in lists.")

    objects = ProductQuerySet.as_manager()

    class Meta:
        db_table = "storefront_products"
        ordering = ["position", "name"]
        constraints = [
            models.CheckConstraint(condition=models.Q(currency__regex=r"^[A-Z]{3}$"), name="product_currency_iso"),
            models.CheckConstraint(
                condition=models.Q(stock_state__in=StockState.values), name="product_stock_state_known"
            ),
        ]

    def __str__(self) -> str:
        """Name the product as the shop does."""
        return self.name

    @property
    def is_available(self) -> bool:
        """Say whether the product can be put in a basket."""
        return self.stock_state != StockState.OUT_OF_STOCK


class Basket(models.Model):
    """What one visitor is about to buy; emptied when it becomes an order."""

    id = models.UUIDField(primary_key=True, default=time_ordered_id, editable=False)
    visitor_id = models.CharField(max_length=64, unique=True)
    updated_at = models.DateTimeField()
    last_order = models.ForeignKey(
        "ShopOrder", null=True, blank=True, on_delete=models.SET_NULL, related_name="+", editable=False
    )

    class Meta:
        db_table = "storefront_baskets"
        ordering = ["-updated_at"]

    def __str__(self) -> str:
        """Name the basket by its row."""
        return f"basket {self.pk}"


class BasketLine(models.Model):
    """One product, or one offer, in a basket.

    `offer` is empty for a plain product. Else it is the offer as it was promised: `{bundle, title, components,
    price_minor, currency, valid_until}`, and for a visitor of an experiment `experiment`, `variant`,
    `document_version` and `unit` besides; it is honored until `valid_until`, whatever happens meanwhile.
    """

    id = models.UUIDField(primary_key=True, default=time_ordered_id, editable=False)
    basket = models.ForeignKey(Basket, on_delete=models.CASCADE, related_name="lines")
    product = models.ForeignKey(Product, on_delete=models.CASCADE, related_name="+")
    quantity = models.PositiveSmallIntegerField(default=1)
    unit_price_minor = models.PositiveBigIntegerField(help_text="Price of the product, or of the whole offer.")
    offer = models.JSONField(default=dict, blank=True)
    added_at = models.DateTimeField()

    class Meta:
        db_table = "storefront_basket_lines"
        ordering = ["added_at", "id"]
        constraints = [
            models.CheckConstraint(condition=models.Q(quantity__gte=1), name="basket_line_quantity_positive")
        ]

    def __str__(self) -> str:
        """Say what lies in the basket."""
        return f"{self.quantity} x {self.product_id}"

    @property
    def total_minor(self) -> int:
        """Return the price of the line in minor units."""
        return self.quantity * self.unit_price_minor


class ShopOrderQuerySet(models.QuerySet["ShopOrder"]):
    """Questions about many orders."""

    def unreported(self) -> "ShopOrderQuerySet":
        """Keep the orders that telemetry has not heard of."""
        return self.filter(reported_at__isnull=True)

    def unreported_before(self, moment: dt.datetime) -> "ShopOrderQuerySet":
        """Keep those of them placed before `moment`."""
        return self.unreported().filter(placed_at__lt=moment)


class ShopOrder(models.Model):
    """One order as the shop keeps it; also the shop's outbox towards the experiments.

    `lines` is what was bought, `{slug, name, quantity, price_minor, cost_minor}` per piece; `offers` the offers
    taken, as on the basket lines, once per bundle. `reported_at` is null until telemetry has the order: it commits
    first and is reported afterwards, again and again until that succeeds. Orders of staff and of machines are internal:
    telemetry keeps them and never counts them.
    """

    id = models.UUIDField(primary_key=True, default=time_ordered_id, editable=False)
    reference = models.CharField(max_length=32, unique=True)
    visitor_id = models.CharField(max_length=64)
    unit_id = models.CharField(max_length=64, blank=True, help_text="Who was randomized; blank once reported.")
    placed_at = models.DateTimeField()
    currency = models.CharField(max_length=3)
    total_minor = models.PositiveBigIntegerField()
    lines = models.JSONField(default=list)
    offers = models.JSONField(default=list, blank=True)
    delivery = models.JSONField(default=dict, blank=True, help_text="Name, email and address for this order.")
    is_internal = models.BooleanField(default=False, help_text="Placed by staff or a machine: never counted.")
    reported_at = models.DateTimeField(null=True, blank=True)
    report_error = models.TextField(blank=True)

    objects = ShopOrderQuerySet.as_manager()

    class Meta:
        db_table = "storefront_orders"
        ordering = ["-placed_at"]
        indexes = [
            models.Index(
                fields=["placed_at"],
                condition=models.Q(reported_at__isnull=True),
                name="shop_order_unreported",
            )
        ]

    def __str__(self) -> str:
        """Name the order by its reference."""
        return self.reference
