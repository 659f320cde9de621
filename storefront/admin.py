"""Products to edit, orders to read."""

from django.contrib import admin
from django.forms import ModelForm
from django.http import HttpRequest
from django.utils import timezone

from smplat.admin_theme import ModelAdmin
from storefront import stock
from storefront.models import Product, ShopOrder


@admin.register(Product)
class ProductAdmin(ModelAdmin[Product]):
    """What the shop sells."""

    list_display = ["name", "slug", "category", "price_minor", "cost_minor", "currency", "stock_state", "position"]
    list_filter = ["category", "stock_state"]
    search_fields = ["name", "slug", "tagline"]
    ordering = ["position", "name"]

    def save_model(self, request: HttpRequest, obj: Product, form: "ModelForm[Product]", change: bool) -> None:
        """Save, and let every bundle with this product know of its stock."""
        super().save_model(request, obj, form, change)
        stock.pass_on(obj.slug, actor=f"user:{request.user.get_username()}", now=timezone.now())


@admin.register(ShopOrder)
class ShopOrderAdmin(ModelAdmin[ShopOrder]):
    """What was ordered, and whether telemetry has heard of it; to be read."""

    list_display = ["reference", "placed_at", "total_minor", "currency", "is_internal", "reported_at", "report_error"]
    list_filter = ["is_internal", ("reported_at", admin.EmptyFieldListFilter)]
    search_fields = ["reference"]
    date_hierarchy = "placed_at"
    exclude = ["delivery", "visitor_id", "unit_id"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Refuse: orders come from the checkout."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: ShopOrder | None = None) -> bool:
        """Refuse: an order is what was bought."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: ShopOrder | None = None) -> bool:
        """Refuse: deleting an order hides it from nobody but the shop."""
        return False
