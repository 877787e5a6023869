"""Exercise 2.5: write `GaussianHead`."""
