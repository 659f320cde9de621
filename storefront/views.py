"""The pages of the shop: translate, make one domain call, render. Whatever telemetry does, the page comes."""

from __future__ import annotations

import datetime as dt
import json
import logging
from typing import Any

from django.contrib import messages
from django.db.utils import Error
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.cache import patch_cache_control, patch_vary_headers
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from catalog_experiments import intake
from catalog_experiments.publication.probe_visits import ANSWER_HEADER, REQUEST_HEADER, is_probe
from storefront import decisions, insiders, offers, overlay, shelf, shop
from storefront.decisions import Decision
from storefront.document import reader
from storefront.forms import DeliveryForm, LineForm
from storefront.models import Product
from storefront.responses import ShopPage, ShopRedirect
from storefront.visitors import Visitor, bot_unit, is_prefetch, remember, segments_of, visitor_of

logger = logging.getLogger(__name__)

DELIVERY_WORKDAYS = 3


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """Show everything the shop sells, by category."""
    return _page(request, visitor_of(request), "home", {"products": shelf.products()})


@require_safe
def product_detail(request: HttpRequest, slug: str) -> HttpResponse:
    """Show a product with this visitor's own offer, and record that the slot was reached."""
    product = shelf.by_slug([slug]).get(slug)
    if product is None:
        raise Http404("No such product.")
    now = timezone.now()
    if "overlay" in request.GET:
        return _open_overlay(request, product)
    if "force" in request.GET:
        return _open_force_link(request, product, now)
    visitor = visitor_of(request)
    access = _access(request, now)
    decision = _decide(product, visitor, access)
    slot = offers.fill_slot(product, decision)
    context = {
        "product": product,
        "offer": slot.offer,
        "stamp": offers.stamp_page(product, slot, visitor.id),
        "arrives_on": arrival_date(timezone.localdate(now)),
        "overlay": _overlay(product, slot, access, now),
        "overlay_is_hidden": access is not None and access.is_hidden and access.may_inspect,
        "is_forced_visit": access is not None and not access.may_inspect,
    }
    page = _page(request, visitor, "product", context)
    if is_probe(request.headers.get(REQUEST_HEADER)):
        page[ANSWER_HEADER] = _told(decision)
    elif request.method == "GET" and not is_prefetch(request):
        page.exposure = _exposure(request, product, decision, visitor, now, is_staff=access is not None)
    return page


@require_POST
def basket_add(request: HttpRequest) -> HttpResponse:
    """Put the product alone, or the offer this visitor was shown, in the basket."""
    now = timezone.now()
    product = get_object_or_404(Product, slug=request.POST.get("product", ""))
    visitor = visitor_of(request)
    if not product.is_available:
        messages.warning(request, f"{product.name} is sold out.")
    elif request.POST.get("take") == "offer":
        _add_offer(request, product, visitor, now)
    else:
        shop.add_product(visitor.id, product, now=now)
        messages.success(request, f"{product.name} is in your basket.")
    return _to(visitor, "storefront:basket")


@require_safe
def basket_detail(request: HttpRequest) -> HttpResponse:
    """Show the basket at the prices of this moment."""
    visitor = visitor_of(request)
    return _page(request, visitor, "basket", {"review": shop.review(visitor.id, now=timezone.now())})


@require_POST
def basket_update(request: HttpRequest) -> HttpResponse:
    """Change the quantity of a line, or remove it."""
    visitor = visitor_of(request)
    form = LineForm({"line": request.POST.get("line"), "quantity": 0} if "remove" in request.POST else request.POST)
    if form.is_valid():
        shop.set_quantity(visitor.id, form.cleaned_data["line"], form.cleaned_data["quantity"])
    else:
        messages.warning(request, "Please give the quantity as a whole number.")
    return _to(visitor, "storefront:basket")


@require_http_methods(["GET", "HEAD", "POST"])
def checkout(request: HttpRequest) -> HttpResponse:
    """Ask where the order goes, then place it; sending the form twice places it once."""
    now = timezone.now()
    visitor = visitor_of(request)
    review = shop.review(visitor.id, now=now)
    form = DeliveryForm(request.POST if request.method == "POST" else None)
    if not review.lines:
        return _after_empty_basket(visitor, is_repeat=request.method == "POST")
    if request.method != "POST" or not form.is_valid():
        return _page(request, visitor, "checkout", {"review": review, "form": form})
    return _place_order(request, visitor, form.cleaned_data, now)


@require_safe
def order_detail(request: HttpRequest, reference: str) -> HttpResponse:
    """Thank the visitor who placed the order; for everybody else it does not exist."""
    visitor = visitor_of(request)
    order = shop.order_of(visitor.id, reference)
    if order is None:
        raise Http404("No such order.")
    arrives_on = arrival_date(timezone.localdate(order.placed_at))
    return _page(request, visitor, "order", {"order": order, "arrives_on": arrives_on})


@require_POST
def overlay_force(request: HttpRequest) -> HttpResponse:
    """Show somebody with access another variant for the session, or hide and show the panel."""
    access = insiders.access_of(request, now=timezone.now())
    if access is None or not access.may_inspect:
        raise Http404("No such page.")
    if "hidden" in request.POST:
        insiders.hide(request, is_hidden=request.POST["hidden"] == "1")
    else:
        insiders.force(request, request.POST.get("experiment", ""), request.POST.get("variant", ""))
    back = request.POST.get("next", "")
    return redirect(back if url_has_allowed_host_and_scheme(back, {request.get_host()}) else "storefront:home")


def arrival_date(ordered: dt.date) -> dt.date:
    """Return the day by which a parcel arrives: three working days later.

    >>> arrival_date(dt.date(2026, 3, 11)), arrival_date(dt.date(2026, 3, 14))
    (datetime.date(2026, 3, 16), datetime.date(2026, 3, 18))
    """
    day, left = ordered, DELIVERY_WORKDAYS
    while left:
        day += dt.timedelta(days=1)
        left -= day.weekday() < 5
    return day


def _decide(product: Product, visitor: Visitor, access: insiders.Access | None) -> Decision | None:
    if visitor.is_bot:
        return decisions.control_of_slot(product.slug)
    if access is not None:
        return overlay.decide_for(access, product, visitor)
    return decisions.decide(visitor.id, visitor.context, product_slug=product.slug)


def _access(request: HttpRequest, now: dt.datetime) -> insiders.Access | None:
    try:
        return insiders.access_of(request, now=now)
    except Error:
        logger.warning("the session cannot be read; the page is shown as to any shopper")
        return None


def _basket_pieces(visitor: Visitor) -> int:
    try:
        return 0 if visitor.is_new else shop.pieces_in_basket(visitor.id)
    except Error:
        return 0


def _exposure(
    request: HttpRequest,
    product: Product,
    shown: Decision | None,
    visitor: Visitor,
    now: dt.datetime,
    *,
    is_staff: bool,
) -> intake.ExposureEvent | None:
    # By the decision alone, before anything of the offer is looked at: what a broken variant shows counts as well.
    # Bots and staff are told with the variant that would have been theirs, so that it is known how many were left out.
    traffic = "bot" if visitor.is_bot else "staff" if is_staff else None
    unit_id = bot_unit(request) if visitor.is_bot else visitor.id
    is_forced = shown is not None and shown.reason == "TARGETING_MATCH"
    decision = decisions.decide(unit_id, visitor.context, product_slug=product.slug) if traffic else shown
    if is_forced or decision is None or not (decision.is_enrolled or decision.is_holdout):
        return None
    return intake.ExposureEvent(
        experiment=decision.experiment,
        unit_id=unit_id,
        variant_key=decision.variant_key,
        exposed_at=now,
        phase=decision.phase,
        segments=segments_of(visitor.context),
        is_holdout=decision.is_holdout,
        traffic=traffic,
    )


def _told(decision: Decision | None) -> str:
    """Say to the system's own visit what the page shows, and from which document."""
    held = reader().last_seen()
    version = decision.document_version if decision else held.version if held else 0
    experiment, variant = (decision.experiment, decision.variant_key) if decision else ("", "")
    return json.dumps({"experiment": experiment, "variant": variant, "document": version})


def _overlay(
    product: Product, slot: offers.Slot, access: insiders.Access | None, now: dt.datetime
) -> overlay.Overlay | None:
    if access is None or access.is_hidden:
        return None
    try:
        return overlay.build_overlay(product, slot, access, now=now)
    except Exception:
        logger.exception("the overlay failed; the page goes without")
        return None


def _open_overlay(request: HttpRequest, product: Product) -> HttpResponse:
    # The token goes from the address into the session, so that it does not travel on in links and logs.
    if not insiders.open_link(request, request.GET["overlay"]):
        messages.warning(request, "This staff link is no longer valid.")
    return redirect("storefront:product", slug=product.slug)


def _open_force_link(request: HttpRequest, product: Product, now: dt.datetime) -> HttpResponse:
    # As above: the session remembers, not the address.
    if not insiders.open_force_link(request, request.GET["force"], now=now):
        messages.warning(request, "This link to a variant is no longer valid.")
    return redirect("storefront:product", slug=product.slug)


def _add_offer(request: HttpRequest, product: Product, visitor: Visitor, now: dt.datetime) -> None:
    access = insiders.access_of(request, now=now)
    present = _decide(product, visitor, access)
    stamp = request.POST.get("stamp", "")
    seen = present
    if access is None and not visitor.is_bot:
        seen = offers.decision_of_stamp(product, stamp, visitor.id, visitor.context, present)
    slot = offers.fill_slot(product, seen)
    if slot.offer is None:
        messages.warning(request, "This offer has ended. The product alone is still here.")
        return
    promise = offers.promise(slot, now=now, unit_id=visitor.id)
    shop.add_offer(visitor.id, product, slot.offer, promise, now=now)
    messages.success(request, f"{slot.offer.title}: in your basket.")


def _place_order(request: HttpRequest, visitor: Visitor, delivery: dict[str, Any], now: dt.datetime) -> HttpResponse:
    is_internal = visitor.is_bot or insiders.access_of(request, now=now) is not None
    try:
        order = shop.place_order(visitor.id, delivery, is_internal=is_internal, now=now)
    except shop.BasketEmpty:
        return _after_empty_basket(visitor, is_repeat=True)
    page = _to(visitor, "storefront:order", reference=order.reference)
    page.has_order = True
    return page


def _after_empty_basket(visitor: Visitor, *, is_repeat: bool) -> HttpResponse:
    placed = shop.last_order(visitor.id) if is_repeat else None
    if placed is not None:
        return _to(visitor, "storefront:order", reference=placed.reference)
    return _to(visitor, "storefront:basket")


def _to(visitor: Visitor, name: str, **kwargs: str) -> ShopRedirect:
    page = ShopRedirect(reverse(name, kwargs=kwargs))
    remember(page, visitor)
    return page


def _page(request: HttpRequest, visitor: Visitor, template: str, context: dict[str, Any]) -> ShopPage:
    shared = {
        "categories": list(dict.fromkeys(product.category for product in shelf.products() if product.category)),
        "basket_pieces": _basket_pieces(visitor),
    }
    page = ShopPage(render_to_string(f"storefront/{template}.html", shared | context, request))
    patch_cache_control(page, private=True, no_cache=True)
    patch_vary_headers(page, ["Cookie"])
    remember(page, visitor)
    return page
