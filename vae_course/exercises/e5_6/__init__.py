"""Exercise 5.6: write `corrupt`."""
