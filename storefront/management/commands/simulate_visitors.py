"""Send simulated visitors to the demo shop until told to stop."""

from __future__ import annotations

import datetime as dt
import os
import signal
import threading
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from types import FrameType
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from catalog_experiments import publication
from storefront import decisions, document
from storefront.models import Product
from storefront.simulation import CONVERSION, DEMO_PAGES, LAST_TIMEOUT, Crowd, IntakeRefused, Prices, Reporter

TICK_SECONDS = 1.0
REPORT_EVERY_SECONDS = 30
MOST_CATCH_UP_TICKS = 3
LONGEST_PAUSE_SECONDS = 5.0

EXAMPLE = """\
example:
  manage.py simulate_visitors --orders-per-second 25 --seed 7
  manage.py simulate_visitors --base-url https://shop.example --duration 60

Keys come from the environment: CHECKOUT_API_KEY for orders, STOREFRONT_CLIENT_KEY (when set) for exposures.
Stop it with Ctrl-C or SIGTERM: what waits is sent once more, then it ends.
"""


class Command(BaseCommand):
    help = "Simulate visitors: decide for each in this process, report exposures and orders over HTTP."

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Keep the lines of the example as they are."""
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        parser.formatter_class = RawDescriptionHelpFormatter
        parser.epilog = EXAMPLE
        return parser

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--base-url", default=None, help="where the intake is; default API_BASE_URL")
        parser.add_argument("--orders-per-second", type=float, default=25.0, help="orders a second, on average")
        parser.add_argument("--seed", type=int, default=1, help="the same seed makes the same visitors")
        parser.add_argument("--run", default=None, help="keeps the ids of two runs apart; default the time of start")
        parser.add_argument("--duration", type=float, default=None, help="seconds to run; default until stopped")

    def handle(self, **options: Any) -> None:
        """Send visitors until a signal or the end of the duration; what waits then is sent once more."""
        if options["orders_per_second"] <= 0:
            raise CommandError("--orders-per-second must be above 0.")
        if not settings.CHECKOUT_API_KEY:
            raise CommandError("CHECKOUT_API_KEY is not set: the intake would refuse every order.")
        stop = _stop_on_signals()
        crowd = _crowd(options["seed"], options["run"] or f"{timezone.now():%y%m%d%H%M%S}-{os.getpid()}")
        if not crowd.prices:
            raise CommandError("The shop is empty; `manage.py seed_demo` fills it.")
        reporter = Reporter(
            options["base_url"] or settings.API_BASE_URL,
            server_key=settings.CHECKOUT_API_KEY,
            client_key=settings.STOREFRONT_CLIENT_KEY,
        )
        try:
            self._run(crowd, reporter, stop, options["orders_per_second"], options["duration"])
        except IntakeRefused as refused:
            raise CommandError(str(refused)) from refused
        finally:
            reporter.close()
            document.renew()
        self._say(crowd, reporter)

    def _run(
        self, crowd: Crowd, reporter: Reporter, stop: threading.Event, orders_per_second: float, duration: float | None
    ) -> None:
        started = last = last_said = time.monotonic()
        visitors_due, pause = 0.0, 0.0
        while not stop.wait(max(TICK_SECONDS, pause)):
            moment = time.monotonic()
            # After a stop of the machine there is no crowd at the door: the visitors of the gap never came.
            elapsed = min(moment - last, MOST_CATCH_UP_TICKS * TICK_SECONDS)
            last = moment
            visitors_due += elapsed * orders_per_second / CONVERSION
            _collect(crowd, reporter, int(visitors_due), timezone.now(), elapsed)
            visitors_due %= 1
            pause = 0.0 if reporter.flush() else min(max(2 * pause, TICK_SECONDS), LONGEST_PAUSE_SECONDS)
            if moment - last_said >= REPORT_EVERY_SECONDS:
                self._say(crowd, reporter)
                last_said = moment
            if duration is not None and moment - started >= duration:
                break
        reporter.flush(LAST_TIMEOUT)

    def _say(self, crowd: Crowd, reporter: Reporter) -> None:
        sent = (
            ", ".join(f"{count:,} {outcome}" for outcome, count in sorted(reporter.outcomes.items())) or "nothing yet"
        )
        seen = "; ".join(f"{label} {count:,}" for label, count in sorted(crowd.served.items()))
        self.stdout.write(f"{sent}; {reporter.waiting:,} waiting, {reporter.dropped:,} dropped | {seen}")
        self.stdout.flush()


def _collect(crowd: Crowd, reporter: Reporter, visitors: int, now: dt.datetime, elapsed: float) -> None:
    # Visitors come evenly through the tick, not all at its end.
    moments = [now - dt.timedelta(seconds=elapsed * (visitors - place) / visitors) for place in range(visitors)]
    exposures = [exposure for exposure in map(crowd.visit, moments) if exposure is not None]
    reporter.add(exposures=exposures, orders=crowd.orders(now))


def _crowd(seed: int, run: str) -> Crowd:
    prices = {product.slug: Prices(product.price_minor, product.cost_minor) for product in Product.objects.all()}
    found = {page.product_slug: publication.baseline_offer(page.product_slug) for page in DEMO_PAGES}
    return Crowd(
        seed=seed,
        run=run,
        decide=lambda unit_id, context, product_slug: decisions.decide(unit_id, context, product_slug=product_slug),
        prices=prices,
        baselines={slug: offer["bundle"] for slug, offer in found.items() if offer is not None},
    )


def _stop_on_signals() -> threading.Event:
    stop = threading.Event()

    def request_stop(signal_number: int, frame: FrameType | None) -> None:
        stop.set()

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, request_stop)
        signal.signal(signal.SIGINT, request_stop)
    return stop
