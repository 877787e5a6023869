"""Exercise 5.5: write `scvi_kl`."""
