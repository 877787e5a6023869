"""Exercise 3.2: write `train_epoch`."""
