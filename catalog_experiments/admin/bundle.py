"""Bundles: the offers a product page may make, edited through the domain so that a live change is published."""

from typing import Any

from django import forms
from django.contrib import admin
from django.forms import ModelForm
from django.http import HttpRequest
from django.utils import timezone

from catalog_experiments.admin.pages import service_for
from catalog_experiments.models import Bundle
from smplat.admin_theme import ModelAdmin


@admin.register(Bundle)
class BundleAdmin(ModelAdmin[Bundle]):
    """Find and edit bundles; the slug and the product page stay once a bundle exists."""

    list_display = (
        "bundle_slug",
        "title",
        "primary_product_slug",
        "price_minor",
        "currency",
        "stock_state",
        "is_active",
    )
    list_filter = ("is_active", "stock_state", "primary_product_slug")
    search_fields = ("bundle_slug", "title", "primary_product_slug")
    readonly_fields = ("created_at", "updated_at")
