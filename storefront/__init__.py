"""What the shop talks to: decide which offer a visitor gets, and record what came of it."""
