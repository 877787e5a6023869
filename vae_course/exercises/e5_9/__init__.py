"""Exercise 5.9: write `MyVAE`."""
