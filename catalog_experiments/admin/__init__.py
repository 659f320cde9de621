"""The admin: the control center, and every table of ours registered beside it."""

from catalog_experiments.admin import api_key, bundle, exclusion, experiment, history, telemetry

__all__ = ["api_key", "bundle", "exclusion", "experiment", "history", "telemetry"]
