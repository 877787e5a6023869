"""Exercise 5.8: write `bayes_factor`."""
