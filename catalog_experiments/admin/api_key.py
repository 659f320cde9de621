"""API keys in the admin: issued with the secret shown once, revoked by a button, never edited or read again."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from django.utils import timezone

from catalog_experiments.access import Scope, issue_key
from catalog_experiments.models import ApiKey
from smplat.admin_theme import ModelAdmin, action, display


class ApiKeyForm(ModelForm):  # type: ignore[type-arg]  # not parametrized at run time
    """Ask for what a new key needs; the secret is made here and kept nowhere."""

    scopes = forms.MultipleChoiceField(
        choices=[(scope.value, scope.value) for scope in Scope],
        widget=forms.CheckboxSelectMultiple,
        required=False,
        help_text="What a server key may do. A client key is public: decisions and exposures, whatever is ticked.",
    )

    class Meta:
        """What a person decides."""

        model = ApiKey
        fields = ("name", "kind", "scopes", "expires_at")

    def clean(self) -> dict[str, Any]:
        """Refuse a server key that could do nothing, and one that is over before it begins."""
        asked: dict[str, Any] = super().clean() or self.cleaned_data
        if asked.get("kind") == ApiKey.Kind.SERVER and not asked.get("scopes"):
            self.add_error("scopes", "Tick at least one scope.")
        if asked.get("expires_at") and asked["expires_at"] <= timezone.now():
            self.add_error("expires_at", "Name a time to come, or none.")
        return asked


@admin.register(ApiKey)
class ApiKeyAdmin(ModelAdmin[ApiKey]):
    """Issue and revoke keys; none is ever deleted, so that the audit trail can name it."""

    form = ApiKeyForm
    list_display = ("name", "kind", "prefix", "scope_list", "state", "last_used_at", "expires_at", "created_at")
    list_filter = ("kind",)
    search_fields = ("name", "prefix")
    readonly_fields = ("prefix", "created_at", "last_used_at", "revoked_at")
    actions = ("revoke",)

    @display(description="Scopes")
    def scope_list(self, key: ApiKey) -> str:
        """List the scopes in a line."""
        return ", ".join(key.scopes)

    @display(description="State")
    def state(self, key: ApiKey) -> str:
        """Say in a word whether the key opens anything."""
        if key.revoked_at:
            return "revoked"
        return "expired" if key.expires_at and key.expires_at <= timezone.now() else "valid"

    def get_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> tuple[str, ...]:
        """Show the form's fields for a new key, and what is known of an old one."""
        asked = ("name", "kind", "scopes", "expires_at")
        return asked if obj is None else (*asked, *self.readonly_fields)

    def has_change_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        """Let nobody edit a key: its scopes are what its holder was told."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        """Let nobody delete a key: revoke it."""
        return False

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        """Let those revoke who may issue."""
        allowed: bool = self.has_add_permission(request)
        return allowed

    def save_model(self, request: HttpRequest, obj: ApiKey, form: ModelForm[ApiKey], change: bool) -> None:
        """Issue the key and show its secret once."""
        asked = form.cleaned_data
        issued = issue_key(asked["name"], kind=asked["kind"], scopes=asked["scopes"], expires_at=asked["expires_at"])
        obj.__dict__.update(issued.key.__dict__)
        self.message_user(request, f"Copy the key now, it is shown this once: {issued.secret}", messages.WARNING)

    @action(description="Revoke the selected keys", permissions=["revoke"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        """Make the keys worthless from the next request on."""
        count = queryset.filter(revoked_at__isnull=True).update(revoked_at=timezone.now())
        self.message_user(request, f"Revoked: {count}.")
