"""Exercise 0.2: write `log_normalize`."""
