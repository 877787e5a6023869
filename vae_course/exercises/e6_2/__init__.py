"""Exercise 6.2: write `add_batches`."""
