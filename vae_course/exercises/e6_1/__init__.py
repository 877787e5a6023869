"""Exercise 6.1: write `unlabelled_elbo`."""
