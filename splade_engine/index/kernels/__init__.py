"""Naked loops over arrays: no allocation, no validation, no options inside.

`groups.py` names what they take, `dtypes.py` gives its types, `jit.py` compiles them, `cache.py` keeps the
machine code. Each loop has a plain numpy twin in tests/oracle/kernels.
"""
