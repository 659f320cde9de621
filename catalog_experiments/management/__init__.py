"""What operators run by hand, and the progress bars of it."""
