"""Template tags of the control center."""
