"""Exercise 1.6: write `grid_posterior`."""
