"""Bundles: the offers a product page may make, edited through the domain so that a live change is published."""

from typing import Any

from django.contrib import admin
from django.db.models import Prefetch, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from django.utils import timezone

from catalog_experiments.admin.pages import service_for
from catalog_experiments.models import Bundle, BundleAcceptanceMetric
from catalog_experiments.phrasing import money_text, rate_text
from catalog_experiments.service import (
    BundleChanges,
    BundleInUse,
    BundleSpec,
    CatalogExperimentService,
    DuplicateBundle,
    InvalidBundle,
)
from smplat.admin_theme import ModelAdmin

FIXED = ("bundle_slug", "primary_product_slug")
LOOKBACK_DAYS = 30


class BundleForm(ModelForm):  # type: ignore[type-arg]  # not parametrized at run time
    """Makes the domain call as its last check, so that what the domain refuses stands beside its field.

    The admin runs form and save in one transaction; nothing is kept when anything fails after the call.
    """

    service: CatalogExperimentService
    is_new: bool

    class Meta:
        model = Bundle
        fields = (
            *FIXED,
            "title",
            "description",
            "savings_copy",
            "components",
            "price_minor",
            "cost_minor",
            "currency",
            "is_active",
            "stock_state",
            "cms_priority",
            "cms_override",
            "metadata",
        )

    def _post_clean(self) -> None:
        """Create or change the bundle through the service in place of the model's checks; refusals become errors."""
        if self.errors:
            return
        try:
            self._carry_out(self.cleaned_data)
        except InvalidBundle as refusal:
            for error in refusal.errors:
                name = error.field.partition("[")[0].partition(".")[0]
                self.add_error(name if name in self.fields else None, error.message)
        except (BundleInUse, DuplicateBundle) as refusal:
            self.add_error(None, str(refusal))

    def _carry_out(self, cleaned: dict[str, Any]) -> None:
        now = timezone.now()
        if self.is_new:
            self.saved = self.service.create_bundle(BundleSpec(**cleaned), now=now)
        else:
            self.saved = self.service.update_bundle(self.instance.bundle_slug, BundleChanges(**cleaned), now=now)

    def save(self, commit: bool = True) -> Bundle:
        """Return the bundle that the service stored."""
        return self.saved

    def save_m2m(self) -> None:
        """Do nothing: a bundle has no many-to-many fields."""


@admin.register(Bundle)
class BundleAdmin(ModelAdmin[Bundle]):
    """Find and edit bundles; the slug and the product page stay once a bundle exists."""

    form = BundleForm
    list_display = (
        "bundle_slug",
        "title",
        "primary_product_slug",
        "price",
        "acceptance",
        "stock_state",
        "is_active",
    )
    list_filter = ("is_active", "stock_state", "primary_product_slug")
    search_fields = ("bundle_slug", "title", "primary_product_slug")

    @admin.display(ordering="price_minor")
    def price(self, bundle: Bundle) -> str:
        """Write the price in the currency's main unit."""
        return money_text(bundle.price_minor, bundle.currency)

    @admin.display(description=f"Acceptance, {LOOKBACK_DAYS} days")
    def acceptance(self, bundle: Bundle) -> str:
        """Say which share of the page's recent orders took the bundle; a dash before anything was counted."""
        counted = next(iter(bundle.acceptance_metrics.all()), None)
        if counted is None or not counted.sample_size:
            return "–"
        return f"{rate_text(float(counted.acceptance_rate))} of {counted.sample_size:,} orders"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Bundle]:
        """Bring the current acceptance along, in one query for all rows."""
        current = BundleAcceptanceMetric.objects.filter(lookback_days=LOOKBACK_DAYS)
        return super().get_queryset(request).prefetch_related(Prefetch("acceptance_metrics", queryset=current))

    def get_readonly_fields(self, request: HttpRequest, obj: Bundle | None = None) -> tuple[str, ...]:
        """Fix what other tables and pages refer to."""
        return FIXED if obj else ()

    def get_form(self, request: HttpRequest, obj: Bundle | None = None, change: bool = False, **kwargs: Any) -> Any:
        """Give the form a service that acts as the person who asks."""
        form = super().get_form(request, obj, change, **kwargs)
        return type(form.__name__, (form,), {"service": service_for(request), "is_new": obj is None})

    def save_model(self, request: HttpRequest, obj: Bundle, form: Any, change: bool) -> None:
        """Nothing is left to do: the form's domain call has stored the bundle."""

    def delete_model(self, request: HttpRequest, obj: Bundle) -> None:
        """Delete a bundle that nothing measured; Django's page lists what holds on to it before."""
        service_for(request).delete_bundle(obj.bundle_slug, now=timezone.now())

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Offer no bulk deletion: each bundle's is one domain call with its own refusal."""
        return {}
