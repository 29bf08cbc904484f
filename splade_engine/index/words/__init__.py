"""The words of titles and texts as lists: for BM25, and for what a text must hold."""
