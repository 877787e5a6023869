"""Exercise 0.3: write `pca_encode`."""
