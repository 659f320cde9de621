"""The verbs that make exclusion groups and size holdouts.

Raising a holdout opens no phase. A unit that then comes back to a slot is seen held out: its row is marked, and it
leaves every result of the phase for good, whichever variant it had. Lowering a holdout brings such units back with
the next phase only. Membership depends on the unit's bucket alone, never on its variant.
"""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from catalog_experiments.assignment import BUCKETS
from catalog_experiments.audit import record_event
from catalog_experiments.drafting.validation import slug_errors, text_errors
from catalog_experiments.field_errors import FieldError, InvalidFields, whole_number_errors
from catalog_experiments.models import ExclusionGroup, Holdout
from catalog_experiments.publication.document import lock_document, publish_document


class InvalidExclusion(InvalidFields):
    """Fields of a group or a holdout are refused; nothing was stored."""


def create_group(slug: str, name: str, *, actor: str, now: datetime) -> ExclusionGroup:
    """Store a new exclusion group with a salt of its own.

    Raises:
        InvalidExclusion: the slug or the name is refused, or the slug is taken.
    """
    errors = [*slug_errors("slug", slug), *text_errors("name", name, 200, is_required=True)]
    if not errors and ExclusionGroup.objects.filter(slug=slug).exists():
        errors.append(FieldError("slug", "duplicate", f"The slug {slug!r} is taken; choose another."))
    if errors:
        raise InvalidExclusion(errors)
    with transaction.atomic():
        group = ExclusionGroup.objects.create(slug=slug, name=name)
        after = {"slug": slug, "name": name}
        record_event(group, actor=actor, action="create", before={}, after=after, now=now)
    return group


def set_holdout(size: int, *, group_slug: str | None = None, actor: str, now: datetime) -> Holdout:
    """Hold `size` basis points of all units out of a group's experiments, of all experiments without a group.

    It is served with the next document, which is written in the same transaction; the present size changes nothing.

    Raises:
        InvalidExclusion: the size is no whole number from 0 to 10,000, or there is no such group.
    """
    group = ExclusionGroup.objects.filter(slug=group_slug).first() if group_slug is not None else None
    errors = list(whole_number_errors("size", size, 0, BUCKETS))
    if group_slug is not None and group is None:
        errors.append(FieldError("group", "unknown_group", f"There is no exclusion group {group_slug!r}."))
    if errors:
        raise InvalidExclusion(errors)
    with transaction.atomic():
        lock_document()
        holdout, _ = Holdout.objects.get_or_create(group=group, defaults={"changed_at": now})
        if holdout.size != size:
            _resize(holdout, size, actor=actor, now=now)
    return holdout


def _resize(holdout: Holdout, size: int, *, actor: str, now: datetime) -> None:
    before = {"size": holdout.size}
    holdout.size, holdout.changed_at = size, now
    holdout.save(update_fields=["size", "changed_at"])
    after = {"size": size, "document_version": publish_document(now=now).version}
    record_event(holdout, actor=actor, action="hold out", before=before, after=after, now=now)
