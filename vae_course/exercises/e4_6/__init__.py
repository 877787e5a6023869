"""Exercise 4.6: write `elbo_and_gap`."""
