"""Share an index on the Hugging Face Hub, and search what others share."""

import os

from splade_engine import SearchEngine

notes = [
    {"id": "moon", "text": "The gravity of the moon pulls the sea, twice a day."},
    {"id": "bread", "text": "Yeast turns sugar into gas, and the dough rises."},
]
engine = SearchEngine.build("notes-index", notes, overwrite=True)

# a repository that you may write to, "someone/notes"; log in first: hf auth login
repository = os.environ.get("MY_HUB_REPOSITORY")
if repository:
    engine.push_to_hub(repository, private=True)
    engine = SearchEngine.open(f"hf://{repository}")
print(engine.search("why are there tides in the ocean", k=1)[0].id)

# prints:
# moon
