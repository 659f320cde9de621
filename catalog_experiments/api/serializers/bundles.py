"""Bundles in camelCase, as the predecessor's clients spell them; money in minor units."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from catalog_experiments.api.serializers.fields import (
    ChoiceField,
    CurrencyField,
    FlagField,
    ObjectField,
    SlugField,
    StrictSerializer,
    TextField,
    WholeNumberField,
)
from catalog_experiments.models import StockState

MAX_MONEY_MINOR = 10**12


class ComponentSerializer(StrictSerializer):
    """One product of a bundle and how many of it."""

    slug = TextField(max_length=150)
    quantity = WholeNumberField(min_value=1, max_value=10_000, default=1)

    def to_internal_value(self, data: Any) -> Any:
        """Take a bare slug too: it means one of it."""
        return super().to_internal_value({"slug": data} if isinstance(data, str) else data)


class BundleChangesSerializer(StrictSerializer):
    """What may change of a bundle; a running experiment keeps serving the offer as it was at its publish."""

    title = TextField(max_length=200, required=False)
    description = TextField(max_length=5_000, allow_blank=True, allow_null=True, required=False)
    savingsCopy = TextField(  # noqa: N815 - the wire's spelling
        source="savings_copy", max_length=200, allow_blank=True, allow_null=True, required=False
    )
    cmsPriority = WholeNumberField(source="cms_priority", min_value=0, max_value=200, required=False)  # noqa: N815
    components = serializers.ListField(child=ComponentSerializer(), max_length=100, required=False)
    metadata = ObjectField(required=False)
    priceMinor = WholeNumberField(  # noqa: N815
        source="price_minor", min_value=0, max_value=MAX_MONEY_MINOR, allow_null=True, required=False
    )
    costMinor = WholeNumberField(  # noqa: N815
        source="cost_minor", min_value=0, max_value=MAX_MONEY_MINOR, allow_null=True, required=False
    )
    currency = CurrencyField(required=False)
    isActive = FlagField(source="is_active", required=False)  # noqa: N815
    stockState = ChoiceField(source="stock_state", choices=StockState.choices, required=False)  # noqa: N815
    cmsOverride = ObjectField(source="cms_override", required=False)  # noqa: N815

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Turn the wire's null texts into the empty ones we store."""
        for name in ("description", "savings_copy"):
            if name in attrs:
                attrs[name] = attrs[name] or ""
        if "components" in attrs:
            attrs["components"] = [dict(component) for component in attrs["components"]]
        return attrs


class BundleCreateSerializer(BundleChangesSerializer):
    """A new bundle: its slug and product page are fixed for good."""

    title = TextField(max_length=200)
    primaryProductSlug = TextField(source="primary_product_slug", max_length=150)  # noqa: N815
    bundleSlug = SlugField(source="bundle_slug", max_length=150)  # noqa: N815


class BundleSerializer(serializers.Serializer[Any]):
    """A bundle as it is."""

    id = serializers.UUIDField()
    primaryProductSlug = serializers.CharField(source="primary_product_slug")  # noqa: N815
    bundleSlug = serializers.CharField(source="bundle_slug")  # noqa: N815
    title = serializers.CharField()
    description = serializers.SerializerMethodField()
    savingsCopy = serializers.SerializerMethodField(method_name="get_savings_copy")  # noqa: N815
    cmsPriority = serializers.IntegerField(source="cms_priority")  # noqa: N815
    components = ComponentSerializer(many=True)
    metadata = serializers.DictField()
    priceMinor = serializers.IntegerField(source="price_minor", allow_null=True)  # noqa: N815
    costMinor = serializers.IntegerField(source="cost_minor", allow_null=True)  # noqa: N815
    currency = serializers.CharField()
    isActive = serializers.BooleanField(source="is_active")  # noqa: N815
    stockState = serializers.ChoiceField(source="stock_state", choices=StockState.choices)  # noqa: N815
    cmsOverride = serializers.DictField(source="cms_override")  # noqa: N815
    createdAt = serializers.DateTimeField(source="created_at")  # noqa: N815
    updatedAt = serializers.DateTimeField(source="updated_at")  # noqa: N815

    def get_description(self, bundle: Any) -> str | None:
        """Return null where there is none, as the predecessor does."""
        return bundle.description or None

    def get_savings_copy(self, bundle: Any) -> str | None:
        """Return null where there is none."""
        return bundle.savings_copy or None
