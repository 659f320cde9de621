"""The same shops through the whole product: intake, aggregation and enforcement by function, on a simulated clock.

Experiments run side by side and are judged once per simulated hour. After each look the frozen record of each must
equal, number for number, what the pure functions say of the same history.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta

import numpy as np
from django.db import connection
from rich.console import Console
from rich.progress import track

from catalog_experiments import lifecycle
from catalog_experiments.assignment import allocation, bucket, choose_variant
from catalog_experiments.enforcement import evaluate_due
from catalog_experiments.guardrails import HourTally, Observation, judge, to_record
from catalog_experiments.intake import ExposureEvent, OrderEvent, OrderLine, record_exposures, record_orders
from catalog_experiments.models import Experiment, ExperimentStatus, GuardrailEvaluation, Phase
from tests.benchmarks.guardrails.looks import Rule, frame_at, hour_of, observations_at
from tests.benchmarks.guardrails.worlds import (
    MONDAY,
    TICK,
    TICKS_PER_HOUR,
    History,
    World,
    constant,
    falling,
    weekend,
)
from tests.builders import make_bundle, make_experiment

SEED = 20260302
RULE = Rule()
OPENED_AT = MONDAY + timedelta(hours=9, minutes=20)
SETTLE = timedelta(minutes=2)
ARRIVAL = timedelta(minutes=2)
"""When after the hour it is judged: a writer in flight, be it autovacuum, holds the watermark back by its age."""
ANALYZED_HOURS = 12
KEYS = ("control", "test")

AGE_EXPOSURES = """
UPDATE catalog_bundle_exposures SET recorded_at = recorded_at - interval '1 hour'
WHERE recorded_at > statement_timestamp() - interval '1 hour'
"""
AGE_ORDERS = """
UPDATE catalog_checkout_orders
SET recorded_at = recorded_at - interval '1 hour', revised_at = revised_at - interval '1 hour'
WHERE revised_at > statement_timestamp() - interval '1 hour'
"""

WORLDS: Mapping[str, World] = {
    "10 % above the bound": World(constant(0.15), (constant(0.11),), per_tick=1),
    "on the bound": World(constant(0.15), (constant(0.10),), per_tick=1),
    "-50 %": World(constant(0.15), (constant(0.05),), per_tick=1),
    "A/A, weekdays 11.8 % and weekends 9.0 %": World(weekend(0.118, 0.09), (weekend(0.118, 0.09),), per_tick=1),
    "15 % for 7 days, then 0": World(constant(0.15), (falling(0.15, 0.0, 168),), per_tick=1),
}


class Differs(AssertionError):
    """The product and the pure functions say different things of the same data."""


@dataclass(eq=False)
class Stall:
    """One experiment with the history it is going to have; no two are equal."""

    world: str
    history: History
    experiment: Experiment
    _units: dict[str, Iterator[str]] = field(default_factory=dict)

    @property
    def slug(self) -> str:
        """The experiment's slug, also the prefix of all it names."""
        return self.experiment.slug

    def events(self, ticks: range) -> tuple[list[ExposureEvent], list[OrderEvent]]:
        """Return who met which variant in these ticks, and what each ordered two minutes later."""
        exposures, orders = [], []
        for tick, (position, key) in itertools.product(ticks, enumerate(KEYS)):
            exposed_at = self.history.opened_at + tick * TICK
            accepted = int(self.history.accepted[position, tick])
            for number in range(self.history.per_tick):
                unit_id = next(self._unit_ids(key))
                exposures.append(ExposureEvent(self.slug, unit_id, key, exposed_at))
                lines = self._lines(key, takes=number < accepted)
                orders.append(OrderEvent(f"{self.slug}-{unit_id}", exposed_at + SETTLE, "EUR", lines, unit_id))
        return exposures, orders

    def _lines(self, key: str, *, takes: bool) -> tuple[OrderLine, ...]:
        anchor = OrderLine(f"{self.slug}-page", 1, 1_800)
        return (anchor, OrderLine(f"{self.slug}-{key}-extra", 1, 1_440)) if takes else (anchor,)

    def _unit_ids(self, key: str) -> Iterator[str]:
        if not self._units:
            self._units = {own: self._assigned(own) for own in KEYS}
        return self._units[key]

    def _assigned(self, key: str) -> Iterator[str]:
        """Yield unit ids that the phase's own salt assigns to the variant."""
        phase = Phase.objects.get(experiment=self.experiment)
        ranges = allocation([variant["weight"] for variant in phase.variants], 10_000)
        keys = [variant["key"] for variant in phase.variants]
        for number in itertools.count():
            unit_id = f"{self.slug}-visitor-{number}"
            position = choose_variant(ranges, bucket(phase.salt, unit_id))
            if position is not None and keys[position] == key:
                yield unit_id


@dataclass(frozen=True)
class Compared:
    """What a whole play came to: hours looked at, records compared, and per world the pauses with their orders."""

    looks: int
    records: int
    experiments: int
    paused: Mapping[str, list[int]]
    seconds: float


def main(each: str, days: str) -> None:
    """Play so many experiments of each world for so many days and print what was compared, as JSON."""
    stalls = open_stalls(WORLDS, each=int(each))
    json.dump(asdict(play(stalls, days=int(days), shows_progress=Console(stderr=True).is_terminal)), sys.stdout)


def open_stalls(worlds: Mapping[str, World], *, each: int) -> list[Stall]:
    """Publish the experiments, each on a page of its own, at one moment."""
    return [
        Stall(name, _history(world, number, copy), _publish(f"stall-{number}-{copy}"))
        for number, (name, world) in enumerate(worlds.items())
        for copy in range(each)
    ]


def play(stalls: Sequence[Stall], *, days: int, shows_progress: bool = False) -> Compared:
    """Let the hours pass; stop an experiment's traffic when the product pauses it.

    Raises:
        Differs: a record is not what the pure functions say, or an experiment was paused at another look than theirs.
    """
    started, records, paused = time.monotonic(), 0, dict[str, list[int]]()
    looks, seen, open_stalls = _looks(days), -1, list(stalls)
    for look in track(looks, "simulated hours", console=Console(stderr=True), disable=not shows_progress):
        now = OPENED_AT + (look + 1) * TICK + ARRIVAL
        _record(open_stalls, range(seen + 1, look + 1), now=now)
        if look // TICKS_PER_HOUR % ANALYZED_HOURS == 0:
            _analyze()
        result = evaluate_due(now=now)
        if result.errors:
            raise Differs(f"look {look}: {'; '.join(result.errors)}")
        for stall in list(open_stalls):
            records += 1
            if _compare(stall, look):
                open_stalls.remove(stall)
                paused.setdefault(stall.world, []).append((look + 1) * stall.history.per_tick)
        _let_an_hour_pass()
        seen = look
    return Compared(len(looks), records, len(stalls), paused, time.monotonic() - started)


def _looks(days: int) -> list[int]:
    """Return the last tick of each hour."""
    first = (60 - OPENED_AT.minute) // 5 - 1
    return list(range(first, first + days * 24 * TICKS_PER_HOUR, TICKS_PER_HOUR))


def _history(world: World, number: int, copy: int) -> History:
    rng = np.random.default_rng([SEED, number, copy])
    return world.history(rng, opened_at=OPENED_AT)


def _publish(slug: str) -> Experiment:
    experiment = make_experiment(
        slug=slug,
        name=slug,
        sample_size_guardrail=RULE.minimum,
        guardrail_config={"min_acceptance_rate": RULE.bound},
        variants=[
            {
                "key": key,
                "name": key,
                "weight": 50,
                "is_control": key == "control",
                "bundle": make_bundle(
                    bundle_slug=f"{slug}-{key}",
                    primary_product_slug=f"{slug}-page",
                    components=[
                        {"slug": f"{slug}-page", "quantity": 1},
                        {"slug": f"{slug}-{key}-extra", "quantity": 1},
                    ],
                ),
            }
            for key in KEYS
        ],
    )
    return lifecycle.publish(experiment.pk, actor="user:simulation", now=OPENED_AT)


def _record(stalls: Sequence[Stall], ticks: range, *, now: datetime) -> None:
    events = [stall.events(ticks) for stall in stalls]
    results = [
        *record_exposures([exposure for exposures, _ in events for exposure in exposures], now=now),
        *record_orders([order for _, orders in events for order in orders], now=now),
    ]
    refused = [result for result in results if (result.outcome, result.code) != ("accepted", "")]
    if refused:
        raise Differs(f"{len(refused)} facts were not taken as they are, the first: {refused[0]}")


def _let_an_hour_pass() -> None:
    # The database's own clock stamps facts, and aggregation looks again at the stamps of the last minutes: without this
    # that would be days of simulated time, counted anew at every look.
    with connection.cursor() as cursor:
        cursor.execute(AGE_EXPOSURES)
        cursor.execute(AGE_ORDERS)


def _analyze() -> None:
    # A shop's hours are long enough for autovacuum to tell the planner how much there is; these are not.
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def _compare(stall: Stall, look: int) -> bool:
    """Hold the newest record against the pure functions; say whether the experiment was paused."""
    observed = _with_exposures(observations_at(stall.history, look, KEYS))
    expected = judge(frame_at(stall.history, RULE, look), observed)
    record = GuardrailEvaluation.objects.filter(experiment=stall.experiment).latest("sequence")
    if hour_of(record.watermark_at) != hour_of(stall.history.looked_at(look)) or record.verdicts != to_record(expected):
        raise Differs(
            f"{stall.slug} at look {look} ({stall.history.looked_at(look)}): the record of {record.watermark_at} says"
            f"\n{record.verdicts}\nand the pure functions\n{to_record(expected)}"
        )
    stall.experiment.refresh_from_db()
    is_paused = stall.experiment.status == ExperimentStatus.PAUSED
    if is_paused != any(verdict.should_pause for verdict in expected):
        raise Differs(f"{stall.slug} at look {look} is {stall.experiment.status}; the record's action: {record.action}")
    return is_paused


def _with_exposures(observations: Sequence[Observation]) -> list[Observation]:
    """Add what the collapse check sees: here every exposed unit orders within the hour."""
    together = [
        (tallies[0].hour_at, sum(tally.n for tally in tallies))
        for tallies in zip(*(own.tallies for own in observations), strict=True)
    ]
    return [
        replace(
            own,
            exposures=tuple(
                HourTally(hour_at, n, tally.n) for (hour_at, n), tally in zip(together, own.tallies, strict=True)
            ),
            planned_share=None if own.is_control else 1 / len(observations),
        )
        for own in observations
    ]
