"""Exercise 4.3: write `elbo`."""
