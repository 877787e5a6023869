"""Exercise 2.4: write `FCLayers`."""
