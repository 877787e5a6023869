"""Exercise 4.1: write `reparameterize`."""
