"""What a reader of the models never needs: devices, seeds, files, checkpoints, several processes, progress."""
