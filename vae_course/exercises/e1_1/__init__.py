"""Exercise 1.1: write `bernoulli_log_prob`."""
