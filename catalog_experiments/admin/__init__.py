"""The admin: the control center, and every table of ours registered beside it."""

from catalog_experiments.admin import api_key, bundle, canary, exclusion, experiment, history, telemetry

__all__ = ["api_key", "bundle", "canary", "exclusion", "experiment", "history", "telemetry"]
