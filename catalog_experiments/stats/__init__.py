"""Statistics on counts and moments, in the standard library alone: values in, values out, no clock and no storage."""
