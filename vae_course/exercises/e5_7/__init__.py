"""Exercise 5.7: write `entropy_batch_mixing`."""
