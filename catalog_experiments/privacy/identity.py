"""Under which digests a person is known: the id given, under every key, and the ids that aliases join to it."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from django.db.models import Q

from catalog_experiments.intake.fields import read_text
from catalog_experiments.models import UnitAlias
from catalog_experiments.units import digests_of_unit

LONGEST_UNIT_ID = 255


@dataclass(frozen=True, slots=True)
class Person:
    """One person's digests: `own` are those of the id given, newest key first; `joined` those of other ids."""

    unit_id: str
    own: tuple[UUID, ...]
    joined: tuple[UUID, ...]

    @property
    def units(self) -> list[UUID]:
        """Return all digests."""
        return [*self.own, *self.joined]


def find_person(unit_id: str, *, follow_aliases: bool) -> Person:
    """Return the digests to look under; with aliases, from a visitor to its customer and on to all visitors of theirs.

    Raises:
        Refused: no text that could be a unit id.
    """
    own = digests_of_unit(read_text(unit_id, "unit_id", LONGEST_UNIT_ID))
    if not follow_aliases:
        return Person(unit_id, own, ())
    customers = set(UnitAlias.objects.filter(visitor__in=own).values_list("customer", flat=True))
    visitors = UnitAlias.objects.filter(customer__in={*own, *customers}).values_list("visitor", flat=True)
    return Person(unit_id, own, tuple(sorted({*customers, *visitors} - set(own))))


def relatives_of(person: Person) -> list[UUID]:
    """Return the digests of the same person, by aliases as they are known now, that are none of those given."""
    everyone = find_person(person.unit_id, follow_aliases=True)
    return sorted(set(everyone.units) - set(person.units))


def aliases_naming(units: list[UUID]) -> Q:
    """Return the condition of the aliases in which one of the units stands, on either side."""
    return Q(visitor__in=units) | Q(customer__in=units)
