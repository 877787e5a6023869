"""Exercise 3.4: write `latent_walk`."""
