"""Exercise 1.5: write `kl_monte_carlo`."""
