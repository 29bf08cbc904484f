"""Showing results: tables, charts, and the HTML page of a comparison."""
