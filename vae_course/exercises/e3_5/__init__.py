"""Exercise 3.5: write `diagnose`."""
