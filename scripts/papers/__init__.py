"""What each paper claims, small but real: `python -m scripts.papers NAME...`; the table is docs/papers.md."""
