"""Exercise 2.3: write `gradient_step`."""
