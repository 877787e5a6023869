"""Exercise 5.2: write `zinb_log_prob`."""
