"""`splade-engine mcp`: an index for agents, over standard input and output."""

from __future__ import annotations

from typing import Annotated

import typer

from splade_engine.cli.serve import open_indexes
from splade_engine.extras import needed


def run(
    indexes: Annotated[
        list[str], typer.Argument(metavar="INDEX...", help="Index folders; NAME=FOLDER names one.")
    ],
    verify: Annotated[
        str, typer.Option("--verify", help="full: check every byte of an index first; offsets: trust it.")
    ] = "full",
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
) -> None:
    """Serve indexes to an agent (Model Context Protocol): tools to search, get, explain, and info.

    The agent's host starts the command and speaks to it over standard input and output. The tools only read.

    \b
    Examples:
      splade-engine mcp my-index
      claude mcp add notes -- splade-engine mcp /data/notes
    """
    import asyncio

    with needed("serving an agent"):  # before an index is opened
        from splade_engine.server.agents import agent_server
    from splade_engine.server.logs import configured
    from splade_engine.server.served import watched
    from splade_engine.server.settings import Limits
    from splade_engine.server.threads import SearchThreads

    limits = Limits()
    served = open_indexes(indexes, verify, device)
    threads = SearchThreads(limits)
    server = agent_server({s.name: s for s in served}, limits, threads.run)

    async def speak() -> None:
        async with watched(served):
            try:
                await server.run_stdio_async()
            finally:
                threads.close()  # a search that outlasted its answer tells this loop when it ends

    with configured("text"):
        asyncio.run(speak())
