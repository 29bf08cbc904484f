"""Model folders: the one place that reads and writes them.

- `reading.py`: from a folder to its checkpoint, whatever the layout.
- `ours.py` (a transformers folder with a `splade_engine` section), `sentence_transformers.py` with
  `export.py` (its reading and writing) and `modules.py` (modules.json), `compact.py` (the bundled encoder's
  format), `plain.py` (a transformers folder that says nothing of us).
- `files.py` reads configs and names, `weights.py` tensors, `tokenizer.py` tokenizers; `hub.py` finds the
  folder.
"""
