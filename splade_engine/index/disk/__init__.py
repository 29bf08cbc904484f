"""The files of an index: written once, flushed, checked before use, published by one rename."""
