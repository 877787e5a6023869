"""Exercise 0.1: write `library_size`."""
