"""A twin of every kernel, under its name and with its arguments, one module for each of index/kernels."""
