"""Systems that run here without a server: each loads what `export` wrote, and asks its queries."""
