"""The encoder that is trained: how it is built, run and saved."""
