"""The admin: the control center, and every table of ours registered beside it."""
