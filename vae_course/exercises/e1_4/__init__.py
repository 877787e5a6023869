"""Exercise 1.4: write `kl_multivariate_normal`."""
