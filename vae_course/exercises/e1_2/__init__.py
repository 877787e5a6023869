"""Exercise 1.2: write `normal_log_prob`."""
