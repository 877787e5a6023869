"""Exercise 0.5: write `reconstruction_error`."""
