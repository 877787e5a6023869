"""Exercise 5.1: write `nb_log_prob`."""
