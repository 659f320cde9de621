"""The only writer of telemetry: exposures, orders, and what each order says about each bundle.

Second step of the walk, between `decisions` and `aggregation`. Everything is bulk, idempotent by constraint, and
answered item by item after commit: one bad item never sinks a batch.
"""

from catalog_experiments.intake.aliases import AliasEvent, record_aliases
from catalog_experiments.intake.bookkeeping import Answered, answers_of_last_day, note_answers
from catalog_experiments.intake.events import ExposureEvent, ItemResult, OfferTaken, OrderEvent, OrderLine, Refused
from catalog_experiments.intake.exposures import record_exposures
from catalog_experiments.intake.orders import BundleAcceptanceService, record_orders
from catalog_experiments.intake.screening import is_bot
from catalog_experiments.intake.serving import ServedSpan, retention_month, served_spans
from catalog_experiments.intake.shapes import reader_of

__all__ = [
    "AliasEvent",
    "Answered",
    "BundleAcceptanceService",
    "ExposureEvent",
    "ItemResult",
    "OfferTaken",
    "OrderEvent",
    "OrderLine",
    "Refused",
    "ServedSpan",
    "answers_of_last_day",
    "is_bot",
    "note_answers",
    "reader_of",
    "record_aliases",
    "record_exposures",
    "record_orders",
    "retention_month",
    "served_spans",
]
