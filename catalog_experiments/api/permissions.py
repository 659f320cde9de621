"""What a key's scopes allow: each view names the scope of each of its methods."""

from __future__ import annotations

from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from catalog_experiments.access import Caller, Scope


class HasScope(BasePermission):
    """Let a call pass when the caller's key has the scope that the view names for the method.

    A method without a handler passes, so that it is answered 405; one with a handler that names no scope is refused.
    """

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Compare the key's scopes with the view's `scopes` table, which maps a method to the scopes that suffice."""
        table: dict[str, frozenset[Scope]] = getattr(view, "scopes", {})
        method = "GET" if request.method == "HEAD" else str(request.method)
        if method.lower() not in view.http_method_names or not hasattr(view, method.lower()):
            return True
        needed, caller = table.get(method, frozenset()), request.user
        if not isinstance(caller, Caller):
            return False
        self.message = f"The key {caller.name!r} lacks the scope {' or '.join(sorted(needed))}."
        return bool(needed & caller.scopes)
