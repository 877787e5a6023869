"""Exercise 2.2: write `one_hot`."""
