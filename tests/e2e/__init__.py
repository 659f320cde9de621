"""Browser tests against the whole running system."""
