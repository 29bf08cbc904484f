"""What decides a training run: frozen dataclasses, one to one with a TOML file."""
