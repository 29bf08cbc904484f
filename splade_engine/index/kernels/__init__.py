"""Naked loops over arrays: no allocation, no validation, no options inside.

Each has a plain numpy twin in tests/oracle.py.
"""
