"""What the commands of `vae-course` do; `cli.py` has their options."""
