"""Exercise 5.10: write `posterior_fdr`."""
