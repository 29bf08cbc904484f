"""`splade-engine pull`: a copy of an index or an encoder from the Hugging Face Hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from splade_engine.cli import options, output


def run(
    repo: Annotated[
        str, typer.Argument(metavar="OWNER/NAME", help="The repository; @REVISION for a branch, tag, commit.")
    ],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to make, new or empty.")],
    as_json: options.Json = False,
) -> None:
    """Take a copy of an index or an encoder that somebody shares.

    An index is checked byte by byte before the folder appears. Then it is an index like any other: it can be
    searched, changed and served. To search one without a copy of your own, give
    `hf://OWNER/NAME` in place of a folder.

    \b
    Examples:
      splade-engine pull hf://someone/my-index my-index
      splade-engine pull someone/my-encoder@v2 my-encoder
    """
    from splade_engine.encoder.folders.hub import PATTERNS
    from splade_engine.encoder.folders.reading import is_model
    from splade_engine.engine.sharing import INDEX_FILES
    from splade_engine.errors import HubError
    from splade_engine.files import atomic_folder, refuse_ours
    from splade_engine.hub import check_download, fetch, hub_name
    from splade_engine.index import SparseIndex
    from splade_engine.index.disk.publish import MANIFEST

    name = hub_name(repo)
    refuse_ours(folder)
    with atomic_folder(folder) as temporary:
        fetch(name, temporary, (*INDEX_FILES, *PATTERNS))
        is_index = (temporary / MANIFEST).is_file()
        if is_index:
            check_download(name, temporary, SparseIndex.open)
        elif is_model(temporary):
            check_download(name, temporary, _check_weights)
        else:
            raise HubError(
                f"{name}: neither an index nor an encoder ({MANIFEST} and config.json are missing)"
            )
    what = "index" if is_index else "encoder"
    if as_json:
        output.write_json({"path": str(folder), "repo": name.repo, "kind": what})
    else:
        output.write(f"{folder}: {what} of {name}")


def _check_weights(folder: Path) -> None:
    """Refuse weights that are cut short, or a pointer to them."""
    from splade_engine.encoder.folders.safetensors_file import read_header

    for path in sorted(folder.rglob("*.safetensors")):
        read_header(path)
