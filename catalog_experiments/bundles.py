"""Create, edit and delete bundles; what shoppers see of one in use changes in a new phase, published at once."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import ProtectedError

from catalog_experiments.audit import difference, record_event
from catalog_experiments.drafting.payloads import payload_errors
from catalog_experiments.drafting.specification import UNSET, Unset
from catalog_experiments.drafting.validation import slug_errors, text_errors
from catalog_experiments.field_errors import (
    FieldError,
    InvalidFields,
    choice_errors,
    flag_errors,
    whole_number_errors,
)
from catalog_experiments.lifecycle.renewal import renew
from catalog_experiments.locking import locked_bundles, save_change
from catalog_experiments.models import Bundle, Experiment, ExperimentStatus, PhaseOrigin, StockState
from catalog_experiments.phases.snapshots import offer
from catalog_experiments.publication import publish_document
from catalog_experiments.stock import pause_if_sold_out, tell_who_is_back

MOST_COMPONENTS = 100
LARGEST_QUANTITY = 10_000
LARGEST_AMOUNT = 10**12
_ATTEMPTS = 3
_CURRENCY = re.compile(r"[A-Z]{3}")


class BundleNotFound(LookupError):
    """No bundle has this slug."""


class DuplicateBundle(ValueError):
    """Another bundle has this slug already."""


class InvalidBundle(InvalidFields):
    """Fields of a bundle are refused; nothing was stored."""


class BundleInUse(RuntimeError):
    """Experiments or orders hold on to the bundle; nothing was changed."""

    def __init__(self, message: str, experiments: Sequence[str] = ()) -> None:
        """Keep the slugs of the experiments in the way."""
        super().__init__(message)
        self.experiments = tuple(experiments)


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleSpec:
    """One bundle as wanted; money in minor units of `currency`, components as `{"slug", "quantity"}` or bare slugs."""

    bundle_slug: str
    primary_product_slug: str
    title: str
    description: str = ""
    savings_copy: str = ""
    cms_priority: int = 100
    components: Sequence[Any] = ()
    price_minor: int | None = None
    cost_minor: int | None = None
    currency: str = "EUR"
    is_active: bool = True
    stock_state: str = StockState.UNKNOWN.value
    cms_override: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleChanges:
    """An edit: fields left `UNSET` stay as they are. Slug and product page are fixed for good."""

    title: str | Unset = UNSET
    description: str | Unset = UNSET
    savings_copy: str | Unset = UNSET
    cms_priority: int | Unset = UNSET
    components: Sequence[Any] | Unset = UNSET
    price_minor: int | Unset | None = UNSET
    cost_minor: int | Unset | None = UNSET
    currency: str | Unset = UNSET
    is_active: bool | Unset = UNSET
    stock_state: str | Unset = UNSET
    cms_override: Mapping[str, Any] | Unset = UNSET
    metadata: Mapping[str, Any] | Unset = UNSET

    def fields_set(self) -> dict[str, Any]:
        """Return the fields this edit sets, by name."""
        named = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: value for name, value in named.items() if value is not UNSET}


def create_bundle(spec: BundleSpec, *, actor: str, now: datetime) -> Bundle:
    """Store a new bundle and an event.

    Raises:
        InvalidBundle: fields are refused.
        DuplicateBundle: the slug is taken.
    """
    values = _checked({}, {each.name: getattr(spec, each.name) for each in fields(spec)})
    try:
        with transaction.atomic():
            bundle = Bundle.objects.create(**values)
            record_event(bundle, actor=actor, action="create", before={}, after=values, now=now)
    except IntegrityError as refused:
        raise DuplicateBundle(f"The slug {spec.bundle_slug!r} is taken; choose another.") from refused
    return bundle


def update_bundle(bundle_slug: str, changes: BundleChanges, *, actor: str, now: datetime) -> Bundle:
    """Edit a bundle; every running experiment that offers it gets a new phase when shoppers see a difference.

    Raises:
        BundleNotFound: there is none.
        InvalidBundle: fields are refused.
        BundleInUse: it would be deactivated while a running or paused experiment offers it.
    """
    for _ in range(_ATTEMPTS):
        with transaction.atomic():
            users = Experiment.objects.locked(_running_users(bundle_slug))
            bundle = _locked(bundle_slug)
            # Whoever published since has seen the old offer, and must be locked before the bundle: begin again.
            if set(_running_users(bundle_slug)) <= {user.pk for user in users}:
                return _edit(bundle, users, changes, actor=actor, now=now)
    raise BundleInUse(f"Experiments with {bundle_slug} are being published just now; try again.")


def delete_bundle(bundle_slug: str, *, actor: str, now: datetime) -> None:
    """Delete a bundle that nothing ever measured; drafts that name it lose it, with an event.

    Raises:
        BundleNotFound: there is none.
        BundleInUse: an experiment that was published offers it, or orders were counted for it.
    """
    with transaction.atomic():
        drafts = Experiment.objects.locked(_users(bundle_slug, ExperimentStatus.DRAFT))
        bundle = _locked(bundle_slug)
        published = tuple(status for status in ExperimentStatus if status != ExperimentStatus.DRAFT)
        _refuse_in_use(bundle, *published, remedy="what was measured stays; deactivate it instead")
        for draft in drafts:
            _forget(draft, bundle, actor=actor, now=now)
        try:
            record_event(bundle, actor=actor, action="delete", before=_described(bundle), after={}, now=now)
            bundle.delete()
        except ProtectedError as refused:
            raise BundleInUse(f"Orders were counted for {bundle_slug}; deactivate it instead.") from refused


def _edit(bundle: Bundle, users: Sequence[Experiment], changes: BundleChanges, *, actor: str, now: datetime) -> Bundle:
    former, former_offer = _described(bundle), offer(bundle)
    before, after = difference(former, {**former, **_checked(former, changes.fields_set())})
    if not after:
        return bundle
    if after.get("is_active") is False:
        _refuse_in_use(bundle, ExperimentStatus.RUNNING, ExperimentStatus.PAUSED, remedy="complete them first")
    for name, value in after.items():
        setattr(bundle, name, value)
    bundle.save()
    record_event(bundle, actor=actor, action="update", before=before, after=after, now=now)
    if "stock_state" in after:
        _guard_stock(users, now=now)
    if seen := [name for name, value in offer(bundle).items() if value != former_offer[name]]:
        _serve(bundle, users, seen, actor=actor, now=now)
    return bundle


def _guard_stock(users: Sequence[Experiment], *, now: datetime) -> None:
    for user in users:
        if pause_if_sold_out(user, now=now):
            user.refresh_from_db()
    tell_who_is_back(now=now)


def _serve(bundle: Bundle, users: Sequence[Experiment], seen: Sequence[str], *, actor: str, now: datetime) -> None:
    running = [user for user in users if user.is_running]  # others were just paused for the stock
    for user in running:
        renew(user, actor=actor, action="bundle", reason=f"{bundle.bundle_slug} changed: {', '.join(seen)}", now=now)
    if not running and _users(bundle.bundle_slug, ExperimentStatus.PAUSED, ExperimentStatus.COMPLETED):
        publish_document(now=now)


def offering(component_slug: str) -> dict[str, list[str]]:
    """Return the bundles with a component, by slug, and the slugs of all their components."""
    found = Bundle.objects.filter(components__contains=[{"slug": component_slug}]).order_by("bundle_slug")
    return {bundle.bundle_slug: [component["slug"] for component in bundle.components] for bundle in found}


def _locked(bundle_slug: str) -> Bundle:
    found = locked_bundles([bundle_slug])
    if not found:
        raise BundleNotFound(f"There is no bundle {bundle_slug!r}.")
    return found[bundle_slug]


def _users(bundle_slug: str, *statuses: str) -> list[UUID]:
    users = Experiment.objects.filter(variants__bundle_id=bundle_slug, status__in=statuses)
    return list(users.order_by("pk").values_list("pk", flat=True).distinct())


def _running_users(bundle_slug: str) -> list[UUID]:
    served = Experiment.objects.running().filter(current_phase__origin=PhaseOrigin.PUBLISHED)
    return list(served.filter(variants__bundle_id=bundle_slug).order_by("pk").values_list("pk", flat=True).distinct())


def _refuse_in_use(bundle: Bundle, *statuses: str, remedy: str) -> None:
    users = Experiment.objects.filter(pk__in=_users(bundle.bundle_slug, *statuses))
    if slugs := list(users.order_by("slug").values_list("slug", flat=True)):
        raise BundleInUse(f"{bundle.bundle_slug} is offered by {', '.join(slugs)}; {remedy}.", slugs)


def _forget(draft: Experiment, bundle: Bundle, *, actor: str, now: datetime) -> None:
    keys = list(draft.variants.filter(bundle=bundle).values_list("key", flat=True))
    draft.variants.filter(bundle=bundle).update(bundle=None)
    save_change(draft)
    before = {"bundle_slug": bundle.bundle_slug, "variants": keys}
    record_event(draft, actor=actor, action="bundle_deleted", before=before, after={"bundle_slug": None}, now=now)


def _described(bundle: Bundle) -> dict[str, Any]:
    return {each.name: getattr(bundle, each.name) for each in fields(BundleSpec)}


def _checked(former: Mapping[str, Any], changed: Mapping[str, Any]) -> dict[str, Any]:
    """Return the changed values with bare component slugs written out; refuse faults in them, not in what stays."""
    values = dict(changed)
    if isinstance(components := values.get("components"), list | tuple):
        values["components"] = [{"slug": c, "quantity": 1} if isinstance(c, str) else c for c in components]
    found = _errors({**former, **values})
    if errors := [error for error in found if re.split(r"[.\[]", error.field)[0] in values]:
        raise InvalidBundle(errors)
    return values


def _errors(values: Mapping[str, Any]) -> Iterator[FieldError]:
    yield from slug_errors("bundle_slug", values["bundle_slug"])
    yield from text_errors("primary_product_slug", values["primary_product_slug"], 150, is_required=True)
    yield from text_errors("title", values["title"], 200, is_required=True)
    yield from text_errors("description", values["description"], 5000)
    yield from text_errors("savings_copy", values["savings_copy"], 200)
    yield from whole_number_errors("cms_priority", values["cms_priority"], 0, 200)
    for name in ("price_minor", "cost_minor"):
        if values[name] is not None:
            yield from whole_number_errors(name, values[name], 0, LARGEST_AMOUNT)
    if not isinstance(values["currency"], str) or not _CURRENCY.fullmatch(values["currency"]):
        yield FieldError("currency", "currency", "Use the three capital letters of ISO 4217, such as EUR.")
    yield from flag_errors("is_active", values["is_active"])
    yield from choice_errors("stock_state", values["stock_state"], StockState.values)
    yield from payload_errors("cms_override", values["cms_override"])
    yield from payload_errors("metadata", values["metadata"])
    yield from _component_errors(values["components"])


def _component_errors(components: object) -> Iterator[FieldError]:
    if not isinstance(components, list):
        yield FieldError("components", "type", "Use a list of components.")
    elif len(components) > MOST_COMPONENTS:
        yield FieldError("components", "too_many", f"Use at most {MOST_COMPONENTS} components.")
    else:
        for index, component in enumerate(components):
            yield from _one_component_errors(f"components[{index}]", component)


def _one_component_errors(path: str, component: object) -> Iterator[FieldError]:
    if not isinstance(component, Mapping) or set(component) != {"slug", "quantity"}:
        yield FieldError(path, "type", 'Use {"slug": "...", "quantity": 1}.')
        return
    yield from text_errors(f"{path}.slug", component["slug"], 150, is_required=True)
    yield from whole_number_errors(f"{path}.quantity", component["quantity"], 1, LARGEST_QUANTITY)
