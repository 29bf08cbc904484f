"""Filter by metadata, count the values of a field, sort, and take the best hit of each group."""

from datetime import date

from splade_engine import SearchEngine

tickets = [
    {
        "id": "t1",
        "text": "The refund was paid twice.",
        "product": "shop",
        "day": date(2026, 3, 1),
        "tags": ["money"],
    },
    {
        "id": "t2",
        "text": "I want my money back for the order.",
        "product": "shop",
        "day": date(2026, 4, 9),
        "tags": ["money", "angry"],
    },
    {
        "id": "t3",
        "text": "The refund page does not load.",
        "product": "app",
        "day": date(2026, 4, 12),
        "tags": ["bug"],
    },
    {
        "id": "t4",
        "text": "The app crashes when I log in.",
        "product": "app",
        "day": date(2026, 5, 2),
        "tags": ["bug"],
    },
]
engine = SearchEngine.build("tickets-index", tickets, overwrite=True)

hits = engine.search("refund", where="day >= '2026-04-01' and not tags = 'angry'")
print("since April:", [hit.id for hit in hits])

hits = engine.search("refund", facets=["product", "tags"], facets_over="matches", total=True)
print(hits.total, "match;", hits.facets)

print("one per product:", [hit.id for hit in engine.search("refund", group_by="product")])
print("newest first:", [hit.id for hit in engine.search("refund", sort="-day")])

# prints:
# since April: ['t3']
# 2 match; {'product': [('app', 1), ('shop', 1)], 'tags': [('bug', 1), ('money', 1)]}
# one per product: ['t1', 't3']
# newest first: ['t3', 't1']
