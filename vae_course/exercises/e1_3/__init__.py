"""Exercise 1.3: write `kl_normal`."""
