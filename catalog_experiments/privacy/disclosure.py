"""Everything that is stored of a person, as one document in plain words."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import orjson

from catalog_experiments.models import ErasedUnit
from catalog_experiments.privacy import records
from catalog_experiments.privacy.identity import Person


def disclose(person: Person, *, now: datetime) -> dict[str, Any]:
    """Return what is stored of a person: exposures, orders with lines and outcomes, aliases, forced lists.

    Times are ISO 8601 in UTC, money is in minor units. Digests stand where no readable id is stored.
    """
    document = {
        "unit_id": person.unit_id,
        "disclosed_at": now,
        "digests": person.own,
        "joined_digests": person.joined,
        "is_erased": ErasedUnit.objects.filter(digest__in=person.own).exists(),
        "exposures": records.exposures_of(person.units),
        "orders": records.orders_of(person.units),
        "running_sums": records.running_sums_of(person.units),
        "aliases": records.aliases_of(person.units),
        "forced_in_experiments": [experiment.slug for experiment in records.forcing(person.unit_id)],
    }
    plain: dict[str, Any] = orjson.loads(orjson.dumps(document, option=orjson.OPT_UTC_Z))
    return plain
