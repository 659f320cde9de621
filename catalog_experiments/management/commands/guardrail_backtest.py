"""Try guardrails out on the shop's own past."""

from __future__ import annotations

from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import orjson
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from catalog_experiments.backtest import Backtest, Options
from catalog_experiments.backtest.summary import summary
from catalog_experiments.backtest.wording import pause_lines, ran_on, sentences
from catalog_experiments.guardrails import GuardrailConfigError
from catalog_experiments.management.progress import progress_bars
from catalog_experiments.models import Experiment, PhaseOrigin
from catalog_experiments.progress import Progress
from catalog_experiments.service import (
    BundleNotFound,
    CatalogExperimentService,
    ExperimentNotFound,
    InvalidExperiment,
)

EXAMPLES = """
Examples:
  manage.py guardrail_backtest
  manage.py guardrail_backtest cup-and-saucer --min-acceptance 0.12
  manage.py guardrail_backtest --bundle cup-with-saucer --min-acceptance 0.2 --false-pause-rate 0.02 --resamples 1000

Without a slug every experiment is tried out under its own guardrails. Rates are fractions: 0.12 is 12 %. Nothing is
stored. The past is looked at once an hour; the real guardrails look every few minutes, so that a real pause may come
up to an hour earlier.
"""

Complain = Callable[[str], object]

_CONFIG = {
    "min_acceptance": "min_acceptance_rate",
    "max_acceptance": "max_acceptance_rate",
    "max_drop": "max_drop_vs_control",
    "alpha": "alpha",
    "pause_rule": "pause_rule",
    "consecutive": "consecutive",
}
_LOWEST_AND_HIGHEST = {
    "lookback_days": (1, 3650),
    "resamples": (1, 100_000),
    "phase_days": (1, 180),
    "min_sample": (0, 1_000_000),
}


class Command(BaseCommand):
    help = "Try guardrails out on the shop's own past: what they would have paused, and how often without a reason."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.formatter_class = RawDescriptionHelpFormatter
        parser.epilog = EXAMPLES
        parser.add_argument("slug", nargs="?", help="an experiment; all when left out")
        parser.add_argument("--bundle", help="a bundle instead of an experiment")
        proposal = parser.add_argument_group("proposal", "the experiment's own where nothing is given")
        proposal.add_argument("--min-acceptance", type=float, help="least acceptance, a fraction such as 0.1")
        proposal.add_argument("--max-acceptance", type=float, help="most acceptance, a fraction")
        proposal.add_argument("--max-drop", type=float, help="largest drop against control, a fraction")
        proposal.add_argument("--alpha", type=float, help="chance of a false pause per phase, such as 0.05")
        proposal.add_argument("--min-sample", type=int, help="orders a variant needs before a verdict")
        proposal.add_argument("--pause-rule", choices=["evidence", "persistent"])
        proposal.add_argument("--consecutive", type=int, help="batches outside, for the rule persistent")
        parser.add_argument("--lookback-days", type=int, default=90, help="days of the past to read, default 90")
        parser.add_argument("--resamples", type=int, default=200, help="healthy phases to make, default 200")
        parser.add_argument("--phase-days", type=int, default=14, help="how long each is, default 14")
        parser.add_argument("--false-pause-rate", type=float, default=0.01, help="wanted of a suggestion, default 0.01")
        parser.add_argument("--seed", type=int, default=1, help="the same seed makes the same phases, default 1")
        parser.add_argument("--format", choices=["text", "json"], default="text")

    def handle(self, *args: Any, **options: Any) -> None:
        """Write one backtest an experiment, for people or as JSON; of all, those that fail are passed over."""
        _require_ranges(options)
        with progress_bars(verbosity=options["verbosity"]) as tell:
            backtests = list(_backtests(options, tell, self.stderr.write))
        if options["format"] == "json":
            written = orjson.dumps([summary(backtest) for backtest in backtests], option=orjson.OPT_INDENT_2)
            self.stdout.write(written.decode())
            return
        for backtest in backtests:
            self.stdout.write("\n".join(_lines(backtest)) + "\n")
        if not backtests:
            self.stdout.write("There is no experiment yet; name a bundle with --bundle.")


def _require_ranges(options: Mapping[str, Any]) -> None:
    for name, (lowest, highest) in _LOWEST_AND_HIGHEST.items():
        value = options[name]
        if value is not None and not lowest <= value <= highest:
            raise CommandError(f"--{name.replace('_', '-')} must lie between {lowest} and {highest}, not at {value}.")
    if not 0 <= options["false_pause_rate"] < 1:
        raise CommandError("--false-pause-rate is a fraction from 0 to below 1, such as 0.01.")
    if options["bundle"] and options["slug"]:
        raise CommandError("Name an experiment or --bundle, not both.")


def _backtests(options: Mapping[str, Any], tell: Progress, complain: Complain) -> Iterator[Backtest]:
    service = CatalogExperimentService(actor="system:guardrail_backtest")
    asked: dict[str, Any] = {
        "now": timezone.now(),
        "config": _config(options),
        "minimum_sample": options["min_sample"],
        "options": Options(
            lookback_days=options["lookback_days"],
            resamples=options["resamples"],
            phase_days=options["phase_days"],
            wanted_rate=options["false_pause_rate"],
            seed=options["seed"],
        ),
    }
    if options["bundle"]:
        yield _tried(lambda: service.backtest_bundle_guardrails(options["bundle"], progress=tell, **asked))
    elif options["slug"]:
        yield _tried(lambda: service.backtest_guardrails(options["slug"], progress=tell, **asked))
    else:
        yield from _all(service, tell, complain, asked)


def _all(
    service: CatalogExperimentService, tell: Progress, complain: Callable[[str], object], asked: Mapping[str, Any]
) -> Iterator[Backtest]:
    for slug in _all_slugs():
        try:
            yield service.backtest_guardrails(slug, progress=_named(slug, tell), **asked)
        except GuardrailConfigError as broken:  # the others may be sound
            complain(f"{slug}: {broken}")
        except InvalidExperiment as refused:
            raise CommandError(str(refused)) from refused


def _tried(call: Callable[[], Backtest]) -> Backtest:
    try:
        return call()
    except (ExperimentNotFound, BundleNotFound, InvalidExperiment, GuardrailConfigError) as refused:
        raise CommandError(str(refused)) from refused


def _config(options: Mapping[str, Any]) -> dict[str, object] | None:
    proposed = {name: options[option] for option, name in _CONFIG.items() if options[option] is not None}
    return proposed or None


def _all_slugs() -> list[str]:
    measured = Experiment.objects.exclude(current_phase__origin=PhaseOrigin.SEEDED)
    return list(measured.order_by("pk").values_list("slug", flat=True))


def _named(slug: str, tell: Progress) -> Progress:
    return lambda stage, done, total: tell(f"{slug}: {stage}", done, total)


def _lines(backtest: Backtest) -> Iterator[str]:
    yield backtest.name
    for sentence in sentences(backtest):
        yield f"  {sentence}"
    for line in pause_lines(backtest):
        yield (
            f"  - {line.where}: {line.variant} would have been paused on {line.at} ({line.verdict}): "
            f"{line.counts} orders, {line.rate}; {line.bound}; evidence {line.evidence}; {line.lead}"
        )
    yield from (f"  - {ran_on(replay)}" for replay in backtest.replays if replay.pause is None)
