"""One command a module; its help says what it does."""
