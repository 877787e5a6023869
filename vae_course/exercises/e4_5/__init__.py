"""Exercise 4.5: write `score_function_gradient`."""
