"""Exercise 5.3: write `DecoderSCVI`."""
