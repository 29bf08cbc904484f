"""Running an evaluation: one system, a suite, and what is kept of it."""
