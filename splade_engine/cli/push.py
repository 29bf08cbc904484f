"""`splade-engine push`: an index or an encoder to the Hugging Face Hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from splade_engine.cli import options, output


def run(
    source: Annotated[str, typer.Argument(metavar="DIR", help="An index folder, or an encoder's folder.")],
    repo: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="The repository; it is made if missing.")],
    private: Annotated[
        bool | None,
        typer.Option("--private/--public", help="Of a repository that is made; default: its owner's."),
    ] = None,
    message: Annotated[str | None, typer.Option("--message", "-m", help="Of the commit.")] = None,
    as_json: options.Json = False,
) -> None:
    """Share an index or an encoder on the Hugging Face Hub, in one commit.

    An index is shared whole: vectors, texts, word lists, and its encoder if nobody else could load that. A
    repository without a card gets one; a card that is there stays. Log in first: `hf auth login`.

    \b
    Examples:
      splade-engine push my-index someone/my-index
      splade-engine push my-encoder someone/my-encoder --private
    """
    from splade_engine.hub import hub_name
    from splade_engine.index.disk.publish import MANIFEST

    name = hub_name(repo)
    if (Path(source) / MANIFEST).is_file():
        from splade_engine.engine import SearchEngine

        what, commit = "index", SearchEngine.open(source).push_to_hub(repo, private=private, message=message)
    else:
        encoder = options.load_encoder(source, device="cpu")
        what, commit = "encoder", encoder.push_to_hub(repo, private=private, message=message)
    if as_json:
        output.write_json({"repo": name.repo, "commit": commit, "kind": what})
    else:
        output.write(f"hf://{name.repo}: {what} of {source}, commit {commit[:12]}")
