"""`splade-engine serve`: indexes over HTTP, with a page to search from."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from splade_engine.cli import output
from splade_engine.cli.interrupts import interrupts
from splade_engine.cli.numbers import THREADS, real, whole
from splade_engine.errors import InvalidInputError
from splade_engine.extras import needed

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from splade_engine.index import SparseIndex
    from splade_engine.server import ServedIndex, Settings
    from splade_engine.server.logs import Style
    from splade_engine.server.served import Verify


def run(
    indexes: Annotated[
        list[str], typer.Argument(metavar="INDEX...", help="Index folders; NAME=FOLDER names one.")
    ],
    host: Annotated[str, typer.Option("--host", help="Another than loopback needs a key.")] = "127.0.0.1",
    port: Annotated[int, whole("--port", least=0, most=65535, help="0 takes a free one.")] = 8000,
    write: Annotated[bool, typer.Option("--write", help="Let clients put and delete documents.")] = False,
    api_key_file: Annotated[
        Path | None, typer.Option("--api-key-file", help="Keys, one a line; clients must show one.")
    ] = None,
    allow_host: Annotated[
        list[str] | None, typer.Option("--allow-host", help="A further name the server goes by.")
    ] = None,
    cors: Annotated[
        list[str] | None, typer.Option("--cors", help="Origin whose pages may call the server.")
    ] = None,
    workers: Annotated[
        int,
        whole("--workers", most=THREADS, help="Processes that serve the same indexes at the same address."),
    ] = 1,
    threads: Annotated[
        int | None, whole("--threads", most=THREADS, help="Per worker. Default: they share all cores.")
    ] = None,
    waiting: Annotated[int, whole("--waiting", help="Requests that may wait; then 429.")] = 256,
    max_k: Annotated[int, whole("--max-k", help="Hits per query.")] = 1000,
    max_batch: Annotated[int, whole("--max-batch", help="Queries or texts per request.")] = 32,
    max_body: Annotated[int, whole("--max-body", help="MiB of documents per request.")] = 32,
    timeout: Annotated[
        float, real("--timeout", most=1e6, help="Seconds for a search, or for a request to arrive.")
    ] = 10.0,
    verify: Annotated[
        str, typer.Option("--verify", help="full: check every byte of an index first; offsets: trust it.")
    ] = "full",
    root_path: Annotated[str, typer.Option("--root-path", help="Path that a proxy has cut off.")] = "",
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    ray: Annotated[
        str | None,
        typer.Option(
            "--ray", metavar="ADDRESS", help="Serve a collection on a Ray cluster; local starts one."
        ),
    ] = None,
    replicas: Annotated[
        int, whole("--replicas", most=THREADS, help="With --ray: processes that search each shard.")
    ] = 1,
    missing: Annotated[
        str,
        typer.Option("--missing", help="With --ray, if a shard does not answer: error, or tell in the hits."),
    ] = "error",
    rerank: Annotated[
        str | None,
        typer.Option("--rerank", help="A CrossEncoder (folder or hub id) for requests that ask for it."),
    ] = None,
    rerank_depth: Annotated[int, whole("--rerank-depth", most=1000, help="Hits that --rerank scores.")] = 50,
    log_format: Annotated[
        str | None, typer.Option("--log-format", help="text or json; default: text on a terminal.")
    ] = None,
) -> None:
    """Serve indexes over HTTP: a page to search from at /, JSON at /search, and more (docs/server.md).

    Only this machine can reach it unless --host says otherwise; then clients must show a key. A generation
    of an index that another process publishes is taken up between requests.

    With --ray each shard of a collection is searched by processes of the cluster, behind as many routers as
    --workers says (docs/scale.md).

    \b
    Examples:
      splade-engine serve my-index
      splade-engine serve notes=indexes/notes mail=indexes/mail --port 8080
      splade-engine serve my-index --write --host 0.0.0.0 --api-key-file keys.txt
      splade-engine serve everything --ray auto --replicas 2 --workers 2
    """
    with needed("serving an index"):  # before one is opened
        from splade_engine.server import Access, Limits, Settings, create_app, serve, serve_in_processes
    from splade_engine.engine.rerank import Rerank
    from splade_engine.index.arguments import default_threads
    from splade_engine.server.logs import configured
    from splade_engine.server.settings import check_exposure, read_keys

    mode = _mode(verify)
    _check_device(device)
    root = _root(root_path)
    style = _style(log_format)
    keys = () if api_key_file is None else read_keys(api_key_file)
    hosts = tuple(name.lower() for name in allow_host or ())
    access = Access(keys=keys, write=write, cors=tuple(cors or ()), hosts=hosts)
    check_exposure(host, access)
    limits = Limits(
        threads=threads or max(1, default_threads() // workers),
        waiting=waiting,
        k=max_k,
        batch=max_batch,
        document_body=max_body << 20,
        seconds=timeout,
    )
    level = logging.getLogger("splade_engine").getEffectiveLevel()
    if ray is not None:
        if len(indexes) != 1 or port == 0:
            raise InvalidInputError("--ray: serves one collection, at a port above 0")
        # a shard that hangs is told of before the whole request takes too long
        deployed = {"replicas": replicas, "routers": workers, "missing": missing, "seconds": timeout * 0.4}
        deployed["device"] = device
        _on_ray(_named(indexes[0])[1], ray, host, port, Settings(limits, access), deployed)
        return
    reranker = None if rerank is None else Rerank(rerank, rerank_depth)
    settings = Settings(limits, access, workers=workers, rerank=reranker)
    application = Application(tuple(indexes), mode, device, settings, style, level)
    where: dict[str, Any] = {"host": host, "port": port, "root_path": root, "seconds": timeout}
    say: Callable[[str], None] = output.note
    if style == "json":  # a collector of logs reads every line alike
        say = logging.getLogger("splade_engine.server").info
    with configured(style, level):  # before an index is opened, of which the log may tell something
        if workers == 1:
            served = application.open()  # what cannot be opened is an error of the command
            interrupts.at_once = True  # the server ends in its own way; a second Ctrl-C does not wait
            held = ", ".join(f"{s.name} ({len(s.current):,} documents)" for s in served)
            started = _started(held, write, workers, say)
            serve(create_app(served, settings), access, **where, on_start=started)
            return
        found = _found(indexes)  # what cannot be opened is told here once, and not by every worker
        held = ", ".join(f"{name} ({len(index):,} documents)" for name, (_, index) in found.items())
        interrupts.at_once = True
        started = _started(held, write, workers, say)
        serve_in_processes(application, access, workers=workers, **where, on_start=started)


def _on_ray(
    folder: Path,
    address: str,
    host: str,
    port: int,
    settings: Settings,
    deployed: dict[str, Any],
) -> None:
    """Serve a collection on a cluster, until Ctrl-C."""
    from splade_engine import ray
    from splade_engine.cli.on_ray import cluster

    how = ray.Deployed(**deployed)
    ray.opened_collection(folder)  # what cannot be served is said before a cluster is asked
    with cluster(address, "serving on a cluster"):
        app = ray.application(folder, how=how, settings=settings)
        started = _started(
            f"{folder.name}, {how.replicas} replicas of each shard", False, how.routers, output.note
        )
        ray.serve(app, host=host, port=port, on_start=started)


def _started(held: str, write: bool, workers: int, say: Callable[[str], None]) -> Callable[[str], None]:
    """Says where which indexes are served."""
    more = (", writable" if write else "") + (f", {workers} workers" if workers > 1 else "")
    return lambda address: say(f"{address} serves {held}{more}")


@dataclass(frozen=True, slots=True)
class Application:
    """Makes the application, in this process or in a worker."""

    indexes: tuple[str, ...]
    verify: Verify
    device: str
    settings: Settings
    log: Style
    level: int

    def open(self) -> list[ServedIndex]:
        """The indexes."""
        from splade_engine.engine.rerank import cross_encoder

        if self.settings.rerank is not None and isinstance(self.settings.rerank.scorer, str):
            cross_encoder(self.settings.rerank.scorer)  # once, and before the first request
        return open_indexes(list(self.indexes), self.verify, self.device)

    def __call__(self) -> ASGIApp:
        """The application, in a worker: what goes wrong is logged there.

        Raises:
            SpladeEngineError: an index or its encoder cannot be opened.
        """
        from splade_engine.server import create_app
        from splade_engine.server.logs import configure

        configure(self.log, self.level)
        return create_app(self.open(), self.settings)


def open_indexes(named: list[str], verify: str, device: str) -> list[ServedIndex]:
    """The indexes that the arguments name; those of one encoder share it.

    Raises:
        InvalidInputError: two of one name, or one that cannot be opened.
    """
    from splade_engine.server import ServedIndex

    mode = _mode(verify)
    _check_device(device)
    opened: list[ServedIndex] = []
    for name, (folder, index) in _found(named).items():
        same = (s.current.encoder for s in opened if s.current.index.encoder == index.encoder)
        opened.append(ServedIndex.open(name, folder, next(same, None), verify=mode, device=device))
    return opened


def _found(named: list[str]) -> dict[str, tuple[Path, SparseIndex]]:
    """Folder and index by name, without their encoders and without reading every byte."""
    from splade_engine.index import SparseIndex

    found: dict[str, tuple[Path, SparseIndex]] = {}
    for argument in named:
        name, folder = _named(argument)
        if name in found:
            raise InvalidInputError(f"{argument}: another index is called {name!r} already; NAME=FOLDER")
        found[name] = folder, SparseIndex.open(folder, verify="offsets")
    return found


def _style(log_format: str | None) -> Style:
    """How the log is written: as asked, else as whoever reads standard error wants it.

    Raises:
        InvalidInputError: an unknown way.
    """
    style = log_format or ("text" if sys.stderr.isatty() else "json")
    if style not in ("text", "json"):
        raise InvalidInputError(f"--log-format: text or json, got {style!r}")
    return "json" if style == "json" else "text"


def _root(path: str) -> str:
    """The path below which a proxy shows the server: "" or one that begins with a slash and ends without.

    Raises:
        InvalidInputError: it is no path.
    """
    kept = path.strip("/")
    if not kept:
        return ""
    if not re.fullmatch(r"[\w.~%-]+(/[\w.~%-]+)*", kept):
        raise InvalidInputError(f"--root-path: a path like /search is expected, got {path!r:.60}")
    return f"/{kept}"


def _check_device(device: str) -> None:
    """Clients are not to find out with their first document that it is not there."""
    if device not in ("auto", "cpu"):  # which every machine has: torch takes a second to load
        from splade_engine.encoder.arguments import checked_devices

        checked_devices([device])


def _mode(verify: str) -> Verify:
    if verify not in ("full", "offsets"):
        raise InvalidInputError(f"--verify: full or offsets, got {verify!r}")
    return "full" if verify == "full" else "offsets"


def _named(argument: str) -> tuple[str, Path]:
    """Name and folder of "NAME=FOLDER" or "FOLDER"."""
    name, mark, folder = argument.partition("=")
    if not mark or Path(argument).exists() or "/" in name:
        name, folder = Path(argument).resolve().name, argument
    if not folder:  # NAME=$UNSET would serve the working folder
        raise InvalidInputError(f"{argument}: names no folder; NAME=FOLDER")
    if not name or "/" in name or not name.isprintable():
        raise InvalidInputError(f"{argument}: not a name for an index; NAME=FOLDER gives one")
    return name, Path(folder)
