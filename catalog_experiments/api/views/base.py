"""What all our views share: a key with the right scope, known query parameters, JSON in and out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NoReturn, TypeVar

from rest_framework.exceptions import AuthenticationFailed, NotFound, PermissionDenied
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from catalog_experiments.access import Caller, Scope
from catalog_experiments.api.authentication import ApiKeyAuthentication
from catalog_experiments.api.parsers import StrictJSONParser, check_envelope
from catalog_experiments.api.permissions import HasScope
from catalog_experiments.api.query import check_query
from catalog_experiments.api.renderers import CompactJSONRenderer, OneRenderer
from catalog_experiments.api.serializers.fields import SLUG_PATTERN
from catalog_experiments.api.throttling import CallerThrottle

SerializerT = TypeVar("SerializerT", bound=Serializer[Any])

READ = frozenset({Scope.READ})
OPERATE = frozenset({Scope.OPERATE})


class ApiView(APIView):
    """One address of the API. `scopes` names, for each method, the scopes of which a key needs one."""

    authentication_classes = [ApiKeyAuthentication]
    permission_classes = [HasScope]
    throttle_classes: Sequence[type[BaseThrottle]] = [CallerThrottle]
    parser_classes: Sequence[type[BaseParser]] = [StrictJSONParser]
    renderer_classes = [CompactJSONRenderer]
    content_negotiation_class = OneRenderer
    metadata_class = None
    http_method_names = ["get", "post", "put", "patch", "delete", "head"]
    scopes: ClassVar[Mapping[str, frozenset[Scope]]] = {}
    query_parameters: ClassVar[Mapping[str, frozenset[str]]] = {}

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Check key and scope, then the slug in the address, how the body comes, and the query."""
        super().initial(request, *args, **kwargs)
        if not SLUG_PATTERN.match(kwargs.get("slug", "any")):
            raise NotFound(f"There is no experiment {kwargs['slug'][:150]!r}.")
        method = "GET" if request.method == "HEAD" else str(request.method)
        check_envelope(request)
        check_query(request, self.query_parameters.get(method, frozenset()))

    def perform_authentication(self, request: Request) -> None:
        """Recognize the key; a call without a valid one counts too, before it is refused."""
        try:
            super().perform_authentication(request)
        except AuthenticationFailed:
            self.check_throttles(request)
            raise

    def permission_denied(self, request: Request, message: str | None = None, code: str | None = None) -> NoReturn:
        """Count a call without the scope too, before it is refused."""
        self.check_throttles(request)
        super().permission_denied(request, message, code)

    def finalize_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> Response:
        """Keep answers out of every cache, but for those that say how they may be kept."""
        response.headers.setdefault("Cache-Control", "no-store")
        return super().finalize_response(request, response, *args, **kwargs)


def caller_of(request: Request) -> Caller:
    """Return whoever calls; authentication has made sure that it is somebody."""
    caller = request.user
    if not isinstance(caller, Caller):
        raise TypeError("a view without key authentication asked who calls")
    return caller


def require_scope(request: Request, scope: Scope) -> None:
    """Refuse a caller without `scope`, for what a parameter turns into more than the method's own scope allows.

    Raises:
        PermissionDenied: the key lacks it.
    """
    if scope not in caller_of(request).scopes:
        raise PermissionDenied(f"The key {caller_of(request).name!r} lacks the scope {scope}.")


def read_body(request: Request, serializer: type[SerializerT]) -> dict[str, Any]:
    """Return the valid fields of the body.

    Raises:
        ValidationError: naming each wrong field.
    """
    reader = serializer(data=request.data)
    reader.is_valid(raise_exception=True)
    values: dict[str, Any] = reader.validated_data
    return values
