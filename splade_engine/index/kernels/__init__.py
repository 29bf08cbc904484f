"""Naked loops over arrays: no allocation, no validation, no options inside. Each has a numpy twin in tests/oracle.py."""
