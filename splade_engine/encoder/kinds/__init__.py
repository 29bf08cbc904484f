"""The kinds of checkpoints, one file each."""
