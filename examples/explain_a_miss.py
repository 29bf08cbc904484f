"""Ask why a document is not among the hits of a query."""

from splade_engine import SearchEngine

pages = [
    {
        "id": "returns",
        "text": "Send the parcel back within 14 days and we return what you paid.",
        "lang": "en",
    },
    {"id": "prices", "text": "All prices include tax; money is taken when the parcel is sent.", "lang": "en"},
    {"id": "bread", "text": "Yeast turns sugar into gas, and the dough rises.", "lang": "en"},
    {"id": "rueckgabe", "text": "Send it back: refund and money back, the German shop.", "lang": "de"},
]
engine = SearchEngine.build("help-index", pages, overwrite=True)
query = "can I get my money back"
vector = engine.encode_queries([query])

for id in ("returns", "bread", "rueckgabe"):
    place = engine.index.explain(vector, id, k=1, where="lang = 'en'")
    print(f"{id}: {place.reason}, rank {place.rank}, score {place.score:.2f}")
    shared = [engine.encoder.vocabulary[term] for term, _, _ in place.terms]
    print("   shares:", ", ".join(shared) or "nothing")

# prints:
# returns: score too low, rank 2, score 7.57
#    shares: back, money
# bread: no shared term, rank 0, score 0.00
#    shares: nothing
# rueckgabe: filtered, rank 0, score 0.00
#    shares: money, back
