"""Index a folder of Markdown files, and show which file, heading and lines answer a question."""

from pathlib import Path

from splade_engine import SearchEngine

folder = Path("notes")
folder.mkdir(exist_ok=True)
(folder / "coffee.md").write_text(
    "# Coffee\n\n## Roasting\n\nThe beans turn brown at 200 degrees.\n\n"
    "## Brewing\n\nPour water just below boiling over the ground beans.\n"
)
(folder / "tea.md").write_text("# Tea\n\nGreen tea is steamed before it can oxidise.\n")

# passages of 256 tokens are the default; these notes are short
engine = SearchEngine.build("notes-index", folder, passages=24, overwrite=True)
for question in ("how hot should the water be", "why does green tea stay green"):
    hit = engine.search(question, k=1)[0]
    where = hit.metadata
    print(f"{question}: {where['path']}, lines {where['line']} to {where['last_line']}, {hit.title!r}")

# later: only what has changed is encoded
(folder / "tea.md").write_text("# Tea\n\nBlack tea is rolled and left to oxidise.\n")
report = engine.sync(folder)
print(f"{len(report.changed)} file changed")

# prints:
# how hot should the water be: coffee.md, lines 7 to 9, 'Coffee: Brewing'
# why does green tea stay green: tea.md, lines 1 to 3, 'Tea'
# 1 file changed
