"""How pages write times, by language."""
