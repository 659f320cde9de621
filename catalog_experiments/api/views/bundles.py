"""Bundles, in the predecessor's camelCase: list, create, read, edit, delete."""

from __future__ import annotations

from operator import attrgetter
from uuid import UUID

from django.db.models import Q
from django.http import HttpResponse
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from catalog_experiments.api.conditional import readable
from catalog_experiments.api.query import BEFORE, LIMIT, page_of, read_id, read_limit
from catalog_experiments.api.schema import IF_NONE_MATCH, operation
from catalog_experiments.api.serializers.bundles import (
    BundleChangesSerializer,
    BundleCreateSerializer,
    BundleSerializer,
)
from catalog_experiments.api.views.base import OPERATE, READ, ApiView, read_body
from catalog_experiments.api.views.experiments import service_of
from catalog_experiments.bundles import BundleChanges, BundleNotFound, BundleSpec
from catalog_experiments.models import Bundle

TAG = "bundles"


def find_bundle(reference: str) -> Bundle:
    """Return the bundle with this id or slug; the predecessor reads by slug and changes by id.

    Raises:
        BundleNotFound: there is none.
    """
    try:
        wanted = Q(pk=UUID(reference)) | Q(bundle_slug=reference)
    except ValueError:
        wanted = Q(bundle_slug=reference)
    found = None if "\x00" in reference else Bundle.objects.filter(wanted).first()
    if found is None:
        raise BundleNotFound(f"There is no bundle {reference[:150]!r}.")
    return found


class BundleListView(ApiView):
    """All bundles, newest first, and the door for new ones."""

    scopes = {"GET": READ, "POST": OPERATE}
    query_parameters = {"GET": frozenset({"limit", "before"})}

    @operation(
        "bundle_list",
        tag=TAG,
        summary="List bundles, newest first",
        answer=BundleSerializer(many=True),
        parameters=[LIMIT, BEFORE, IF_NONE_MATCH],
    )
    def get(self, request: Request) -> HttpResponse:
        """Return a bare array of at most `limit`; the Link header leads to older ones."""
        limit, bundles = read_limit(request), Bundle.objects.order_by("-id")  # ids grow with time
        if before := read_id(request, "before"):
            bundles = bundles.filter(pk__lt=before)
        page, link = page_of(request, list(bundles[: limit + 1]), limit=limit, cursor=attrgetter("pk"))
        return readable(request, BundleSerializer(page, many=True).data, link=link)

    @operation(
        "bundle_create",
        tag=TAG,
        summary="Create a bundle",
        answer=BundleSerializer,
        status=201,
        body=BundleCreateSerializer,
        refusals=[409],
    )
    def post(self, request: Request) -> Response:
        """Store a bundle."""
        spec = BundleSpec(**read_body(request, BundleCreateSerializer))
        bundle = service_of(request).create_bundle(spec, now=timezone.now())
        return Response(BundleSerializer(bundle).data, status=201)


class BundlesOfProductView(ApiView):
    """The bundles that a product's page may offer."""

    scopes = {"GET": READ}

    @operation(
        "bundle_of_product",
        tag=TAG,
        summary="List the bundles of a product, the most prominent first",
        answer=BundleSerializer(many=True),
        parameters=[IF_NONE_MATCH],
    )
    def get(self, request: Request, product_slug: str) -> HttpResponse:
        """Return a bare array, empty for a product without bundles."""
        wanted = [] if "\x00" in product_slug else [product_slug]
        bundles = Bundle.objects.anchored_on(wanted).order_by("cms_priority", "bundle_slug")[:100]
        return readable(request, BundleSerializer(bundles, many=True).data)


class BundleDetailView(ApiView):
    """One bundle, by its slug or its id."""

    scopes = {"GET": READ, "PATCH": OPERATE, "DELETE": OPERATE}

    @operation(
        "bundle_detail",
        tag=TAG,
        summary="Read a bundle",
        answer=BundleSerializer,
        refusals=[404],
        parameters=[IF_NONE_MATCH],
    )
    def get(self, request: Request, reference: str) -> HttpResponse:
        """Return the bundle."""
        return readable(request, BundleSerializer(find_bundle(reference)).data)

    @operation(
        "bundle_update",
        tag=TAG,
        summary="Edit a bundle",
        answer=BundleSerializer,
        body=BundleChangesSerializer,
        refusals=[404, 409],
        description="Absent fields keep their values; slug and product page never change. A running experiment that "
        "offers the bundle gets a new phase when shoppers would see a difference.",
    )
    def patch(self, request: Request, reference: str) -> Response:
        """Change what the body names."""
        changes = BundleChanges(**read_body(request, BundleChangesSerializer))
        slug = find_bundle(reference).bundle_slug
        bundle = service_of(request).update_bundle(slug, changes, now=timezone.now())
        return Response(BundleSerializer(bundle).data)

    @operation(
        "bundle_delete",
        tag=TAG,
        summary="Delete a bundle that nothing measured",
        answer=None,
        status=204,
        refusals=[404, 409],
    )
    def delete(self, request: Request, reference: str) -> Response:
        """Delete the bundle; one that experiments or orders hold on to stays."""
        service_of(request).delete_bundle(find_bundle(reference).bundle_slug, now=timezone.now())
        return Response(status=204)
