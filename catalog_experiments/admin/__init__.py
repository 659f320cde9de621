"""The admin: the control center, and every table of ours registered beside it."""

from catalog_experiments.admin import bundle, experiment, history, telemetry

__all__ = ["bundle", "experiment", "history", "telemetry"]
