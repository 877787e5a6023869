"""Exercise 3.1: write `binary_vae_loss`."""
