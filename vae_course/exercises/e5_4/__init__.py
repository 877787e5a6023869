"""Exercise 5.4: write `select_dispersion`."""
