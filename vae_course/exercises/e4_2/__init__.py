"""Exercise 4.2: write `kl_standard_normal`."""
