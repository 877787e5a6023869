"""Exercise 5.11: write `finish_batch_norm`."""
