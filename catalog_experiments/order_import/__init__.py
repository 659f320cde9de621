"""Bring a file of order lines into the telemetry: a shop's history, one line a product, through the usual intake.

Beside the other importer, above everything it fills. Running it again changes nothing.
"""

from catalog_experiments.csv_files import UnreadableFile
from catalog_experiments.order_import.lines import FORMATS, ONLINE_RETAIL, OrderFormat
from catalog_experiments.order_import.runs import OrderImportResult, import_orders

__all__ = ["FORMATS", "ONLINE_RETAIL", "OrderFormat", "OrderImportResult", "UnreadableFile", "import_orders"]
