"""Exercise 2.1: write `Linear`."""
