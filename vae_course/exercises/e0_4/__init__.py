"""Exercise 0.4: write `pca_decode`."""
