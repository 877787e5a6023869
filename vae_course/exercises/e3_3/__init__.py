"""Exercise 3.3: write `sample_prior`."""
