"""Exercise 4.4: write `log_marginal_likelihood`."""
