"""What a collection of many passages needs, reckoned from measured figures; see `__main__`."""
