"""The one error of this package."""


class TargetingError(ValueError):
    """The condition lies outside the subset; the message names the path and the remedy."""
