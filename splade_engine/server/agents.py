"""For agents: an MCP server (Model Context Protocol) with four tools that only read.

The same tools over standard input and output (`splade-engine mcp`) and over HTTP (`/mcp` of `splade-engine
serve`). A tool that cannot answer says why in one line, as the routes do.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.transport_security import TransportSecuritySettings
from mcp_types import ToolAnnotations
from pydantic import Field, ValidationError

from splade_engine import __version__
from splade_engine.errors import SpladeEngineError
from splade_engine.files import whole_texts
from splade_engine.plain_text import shortened
from splade_engine.server import answers
from splade_engine.server.agent_lines import serve_lines
from splade_engine.server.agent_route import PATH, Made
from splade_engine.server.bodies import told_of
from splade_engine.server.problems import LONGEST, Problem, of_error
from splade_engine.server.requests import ExplainRequest, SearchRequest

if TYPE_CHECKING:
    from splade_engine.engine import SearchEngine
    from splade_engine.server.served import ServedIndex
    from splade_engine.server.settings import Limits

SNIPPET = 600  # characters of a hit: about a paragraph, so that ten hits stay a page
Result = TypeVar("Result")
Run = Callable[[Callable[[], dict[str, Any]]], Awaitable[dict[str, Any]]]

_READS = ToolAnnotations(
    read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False
)
_INSTRUCTIONS = (
    "Search a collection of documents. Ask in plain words, in a sentence or a few terms: documents "
    "are found by meaning and by words. `search` returns the best documents with the passage that "
    "fits; `get` reads one in full; `explain` says which terms made a document match, or why it is "
    "not among the hits; `info` says what is indexed and which metadata fields can be filtered."
)

Index = Annotated[str | None, Field(description="Name of the index; default: the first. `info` lists them.")]
Query = Annotated[
    str,
    Field(
        description='What to look for, in plain words; +word must be there, -word not, "a phrase" as it is.'
    ),
]
Id = Annotated[str, Field(description="Id of a document, as `search` gives it.")]
Where = Annotated[
    str | None, Field(description="Filter on metadata, e.g. \"year >= 1990 and lang in ['en', 'de']\".")
]
Must = Annotated[
    list[str] | None,
    Field(description='Words or phrases that a document has to hold, e.g. ["ERR_1", "money back"].'),
]
MustNot = Annotated[list[str] | None, Field(description="Words or phrases that it must not hold.")]
Offset = Annotated[int | None, Field(ge=0, strict=True, description="Hits to leave out: the next page.")]
GroupBy = Annotated[
    str | None, Field(description='Only the best hit of each value of a field; "parent": of each document.')
]
K = Annotated[int, Field(ge=1, strict=True, description="Number of hits.")]
Exact = Annotated[bool, Field(strict=True, description="Find the true best, whatever it costs.")]


class _Server(MCPServer):
    """Says in one line what is wrong with the arguments of a call, and guesses at none, as the routes do."""

    async def run_stdio_async(self) -> None:
        """As `MCPServer` does, but a line that cannot be read is answered too."""
        await serve_lines(self._lowlevel_server)

    async def call_tool(self, name: str, arguments: dict[str, Any], context: Any = None) -> Any:
        """See `MCPServer`; a message may hold what the agent sent, so its length is bounded."""
        tool = next((tool for tool in await self.list_tools() if tool.name == name), None)
        known = {} if tool is None else tool.input_schema.get("properties", {})
        unknown = next((given for given in arguments if given not in known), None)
        if tool is not None and unknown is not None:
            raise ToolError(f"{name}: no argument {unknown!r:.60}; there are {', '.join(known)}")
        for given, value in arguments.items():
            # the library reads texts as JSON where something other than a text may stand: a filter would be
            # dropped without a word
            if (
                tool is not None
                and isinstance(value, str)
                and value.strip() == "null"
                and _may_be_null(known[given])
            ):
                raise ToolError(f"{name}: {given}: the text 'null'; leave the argument out if none is meant")
        try:
            return await super().call_tool(name, arguments, context)
        except ToolError as error:
            if isinstance(error.__cause__, ValidationError):
                raise ToolError(f"{name}: {told_of(error.__cause__)}") from None
            error.args = (shortened(str(error), LONGEST),)
            raise


def _may_be_null(schema: Mapping[str, Any]) -> bool:
    return any(kind.get("type") == "null" for kind in schema.get("anyOf", ()))


def agent_server(
    indexes: Mapping[str, ServedIndex],
    limits: Limits,
    run: Run,
    take: Callable[[ServedIndex], SearchEngine] = lambda served: served.current,
) -> MCPServer:
    """An MCP server over these indexes.

    Args:
        indexes: by name; the first answers where a call names none.
        limits: the same as for requests over HTTP.
        run: does a call in a thread, and refuses when there is no room.
        take: the generation of an index for one call.
    """
    # nothing that a client could wait for ever changes: a subscription would only hold up the end
    server = _Server("splade-engine", version=__version__, instructions=_INSTRUCTIONS, subscriptions=False)
    tool = functools.partial(server.tool, annotations=_READS, structured_output=True)

    usual = min(5, limits.k)  # hits, where the agent does not say

    async def answered(
        index: str | None, read: Callable[[str, SearchEngine], dict[str, Any]]
    ) -> dict[str, Any]:
        served = next(iter(indexes.values())) if index is None else indexes.get(index)
        if served is None:
            raise ToolError(f"no index {index!r}; there are {', '.join(indexes)}")
        found = served
        with _refusals(found):
            # half a surrogate pair in a field is no JSON that the client could read
            return await run(lambda: dict(whole_texts(read(found.name, take(found)))))

    @tool()
    async def search(
        query: Query,
        k: K = usual,
        where: Where = None,
        must: Must = None,
        must_not: MustNot = None,
        offset: Offset = None,
        group_by: GroupBy = None,
        exact: Exact = False,
        index: Index = None,
    ) -> dict[str, Any]:
        """The best documents for a query: id, title, score, metadata and the passage that fits best."""

        def read(name: str, engine: SearchEngine) -> dict[str, Any]:
            answers.check_queries(limits, [query], k)
            given: dict[str, Any] = {
                "where": where, "must": must, "must_not": must_not, "offset": offset, "group_by": group_by
            }  # fmt: skip
            given = {name: value for name, value in given.items() if value is not None}
            asked = SearchRequest(
                query=query, k=k, exact=exact, snippet=SNIPPET, related="weak", certainty=True, **given
            )
            found = answers.search(name, engine, asked)
            return {**found, "hits": [_short(hit) for hit in found["hits"]]}

        return await answered(index, read)

    @tool()
    async def get(id: Id, index: Index = None) -> dict[str, Any]:
        """A document in full, with the ids of those before and after it and of those most like it."""
        return await answered(
            index, lambda name, engine: answers.document(name, engine, id, neighbours=1, similar=3)
        )

    @tool()
    async def explain(query: Query, id: Id, where: Where = None, index: Index = None) -> dict[str, Any]:
        """Why a document is, or is not, found by a query: its rank, the shared terms and their weights."""

        def read(name: str, engine: SearchEngine) -> dict[str, Any]:
            answers.check_queries(limits, [query], 1)
            asked = ExplainRequest(query=query, id=id, where=where).within(limits.k)
            why = answers.explain(name, engine, asked)
            return {key: value for key, value in why.items() if not key.endswith("_spans")}

        return await answered(index, read)

    @tool()
    async def info(index: Index = None) -> dict[str, Any]:
        """What is indexed: documents, encoder, metadata fields with frequent values, names of all indexes."""

        def read(name: str, engine: SearchEngine) -> dict[str, Any]:
            held = answers.info(name, engine, limits)
            kept = ("index", "generation", "documents", "model_id", "version")
            fields = answers.fields(name, engine)["fields"]
            return {**{key: held[key] for key in kept}, "fields": fields, "indexes": list(indexes)}

        return await answered(index, read)

    return server


@contextmanager
def _refusals(served: ServedIndex) -> Iterator[None]:
    """What the routes would answer with a 4xx, as the error of a tool."""
    try:
        yield
    except Problem as problem:
        raise ToolError(problem.message) from None
    except ValidationError as error:  # what the request of the routes refuses
        raise ToolError(told_of(error)) from None
    except SpladeEngineError as error:
        raise ToolError(of_error(error, str(served.path), served.name).message) from None


def _short(hit: Mapping[str, Any]) -> dict[str, Any]:
    snippet = hit["snippet"]
    before, behind = ("... " if snippet["cut"][0] else ""), (" ..." if snippet["cut"][1] else "")
    kept = {name: hit[name] for name in ("rank", "id", "score", "title", "metadata")}
    return {**kept, "text": f"{before}{snippet['text']}{behind}"}


def agents_over_http(server: MCPServer, limits: Limits) -> Made:
    """MCP over HTTP. Every request stands for itself, so that replicas need no common memory.

    Host names and keys are checked for all routes alike, by the gate.
    """
    app = server.streamable_http_app(
        streamable_http_path=PATH,
        stateless_http=True,
        json_response=True,
        max_request_body_size=limits.body,
        transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
    )
    return app, server.session_manager.run()
