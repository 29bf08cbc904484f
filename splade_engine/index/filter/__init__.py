"""Metadata filters: `parse` reads what callers write, `evaluate` finds the documents that match."""
