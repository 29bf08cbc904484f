"""Names and error codes count as they are written; `hybrid=True` lets every word count so."""

from splade_engine import SearchEngine

verbs = ("join", "split", "read", "write", "copy", "move", "open", "close")
nouns = ("path", "file", "link", "folder", "pipe", "line")
pages = [{"id": f"{v}_{n}", "text": f"{v}_{n} will {v} one {n}."} for v in verbs for n in nouns]
pages += [{"id": f"{n}_{v}", "text": f"{n}_{v} is for every {n} you {v}."} for v in verbs for n in nouns]
engine = SearchEngine.build("functions-index", pages, overwrite=True)

for hybrid in (False, None, True):
    hits = engine.search("path_split", k=2, hybrid=hybrid)
    print(f"hybrid={hybrid}:", [hit.id for hit in hits])

hit = engine.search("path_split", k=1)[0]
for side in hit.sides:
    print(f"{side.name}: rank {side.rank}")

# prints:
# hybrid=False: ['split_path', 'path_split']
# hybrid=None: ['path_split', 'split_path']
# hybrid=True: ['path_split', 'split_path']
# terms: rank 2
# words: rank 1
