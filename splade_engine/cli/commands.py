"""The table of commands, and the typer application that imports each when it is called.

`--help` reads the table and loads no command. `CommandGroup` checks what all commands have in common:
numbers are finite, names and paths are not empty, and what takes one value is given once.
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from splade_engine import __version__
from splade_engine.arguments import expanded
from splade_engine.cli import guard, streams
from splade_engine.cli.idle import idle_option
from splade_engine.cli.interrupts import interrupts
from splade_engine.cli.renamed import by_new_names


@dataclass(frozen=True)
class Command:
    """One row of the table: `run` in the module `cli/<name>.py`, listed under `section`."""

    name: str
    section: str
    help: str
    # whether what an interrupted run has done is kept, and the same command goes on from there
    resumes: bool = False


COMMANDS = (
    Command("demo", "Start", "Index Python's own documentation and search it, with reasons.", True),
    Command("index", "Search your text", "Encode a corpus and build an index of it.", True),
    Command("search", "Search your text", "Search an index; --explain says why a document was found."),
    Command("explain", "Search your text", "Why a document is, or is not, a hit of a query."),
    Command("get", "Search your text", "Show stored documents by id."),
    Command("add", "Search your text", "Encode more documents into an index.", True),
    Command(
        "sync", "Search your text", "Keep an index up to date with a folder; only changes are encoded.", True
    ),
    Command("delete", "Search your text", "Remove documents from an index by id or by a filter."),
    Command("compact", "Search your text", "Merge an index's segments; drop what was deleted."),
    Command("merge", "Search your text", "Put several indexes together into one."),
    Command("collect", "Search your text", "Name several indexes a collection, searched as one index."),
    Command("info", "Search your text", "What an index holds: documents, terms, size, encoder, settings."),
    Command("check", "Search your text", "Verify every byte and every structure of an index."),
    Command("tune", "Search your text", "Find the settings that reach a recall; store them in the index."),
    Command("bench", "Search your text", "Time searches of an index, with recall against exact search."),
    Command("serve", "Search your text", "Serve indexes over HTTP, with a page to search from."),
    Command("mcp", "Search your text", "Serve an index to an agent, as tools (MCP)."),
    Command("train", "Train", "Train an encoder from a recipe, or fine-tune one."),
    Command("adapt", "Train", "Adapt an encoder to a collection, from its documents alone.", True),
    Command("mine", "Train", "Find hard negatives for training pairs.", True),
    Command("phrases", "Train", "Write an encoder whose terms include pairs of words, or whole words."),
    Command("eval", "Evaluate", "Score systems on test collections: effectiveness, sparsity and cost.", True),
    Command("compare", "Evaluate", "Results and runs side by side: an HTML page, LaTeX, Markdown."),
    Command("encode", "Vectors", "Encode a corpus or queries into a vector file.", True),
    Command("onnx", "Vectors", "Write an encoder as an ONNX folder, which runs without torch."),
    Command("export", "Vectors", "Write an index for another system: Qdrant, OpenSearch, pgvector, ..."),
    Command("import", "Vectors", "Make an index of vectors that another system wrote."),
    Command("push", "Share", "Put an index or an encoder on the Hugging Face Hub."),
    Command("pull", "Share", "Take a copy of an index or an encoder from the Hugging Face Hub."),
)
_BY_NAME = {command.name: command for command in COMMANDS}
# commands whose result is what they print and nothing else, unless one of these parameters is given
_PRINTED: dict[str, tuple[str, ...]] = {
    "search": ("run_file",), "explain": (), "get": (), "info": (), "bench": (), "mcp": (),
    "eval": ("output_folder", "run_file", "again"),
}  # fmt: skip


def _same_command() -> str:
    return "the same command goes on from there"


def _heard(quiet: bool, verbose: bool) -> None:
    from splade_engine.cli import log

    if quiet or verbose:
        log.set_level(logging.DEBUG if verbose else logging.ERROR)


def _spoken(
    verbose: Annotated[
        bool,
        typer.Option("--verbose", "-v", callback=lambda on: _heard(False, on), help="Log more."),
    ] = False,
    quiet: Annotated[
        bool,
        typer.Option("--quiet", "-q", callback=lambda on: _heard(on, False), help="Results and errors only."),
    ] = False,
) -> None:
    """The options that may stand behind a command as well as before it."""


def _spoken_options() -> list[Any]:
    app = typer.Typer(add_completion=False)
    app.command()(_spoken)
    options = [option for option in typer.main.get_command(app).params if option.name in ("verbose", "quiet")]
    for option in options:
        option.expose_value = False  # the command's function does not take them
    return options


def _refuse_twice(command: Any, ctx: Any, args: list[str]) -> None:
    """Refuse an option of one value that is given twice: only the last would act.

    A switch may be given twice, but not both ways. What the command's own parsing keeps is that last value,
    so the arguments are parsed once more for the order in which options stand.
    """
    _, _, order = command.make_parser(ctx).parse_args(args=list(args))
    words = set(args[: args.index("--")] if "--" in args else args)
    for param, times in Counter(param for param in order if param.param_type_name == "option").items():
        if times == 1 or param.multiple or param.count:
            continue
        if not param.is_flag:
            raise guard.UsageError(
                f"{max(param.opts, key=len)} is given {times} times, and takes one value", ctx
            )
        if words & set(param.opts) and words & set(param.secondary_opts):
            both = f"{max(param.opts, key=len)} and {max(param.secondary_opts, key=len)}"
            raise guard.UsageError(f"{both} do not go together", ctx)


class CheckedCommand(TyperCommand):
    """A command whose arguments are checked before it is called, all in the same way."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params = [*self.params, *_spoken_options()]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Refuse an argument that is empty (as a path it would mean the working folder) or given twice."""
        for place, text in enumerate(args):
            option, sign, value = text.partition("=")
            if text == "":
                before = args[place - 1] if place and args[place - 1].startswith("-") else ""
                raise guard.UsageError(f"{before or 'an argument'} is empty", ctx)
            if option.startswith("--") and sign and not value:
                raise guard.UsageError(f"{option} is empty", ctx)
        args = by_new_names(self.name or "", args)
        if not ctx.resilient_parsing:
            _refuse_twice(self, ctx, args)
        left = super().parse_args(ctx, args)
        for name, value in ctx.params.items():  # a shell expands no ~ behind --output=
            if isinstance(value, Path):
                ctx.params[name] = expanded(value)
        if not ctx.resilient_parsing:
            self._refuse_idle(ctx)
            self._refuse_unheard(ctx)
        return left

    def _refuse_unheard(self, ctx: Any) -> None:
        """Nothing is worked out that nobody could read."""
        files = _PRINTED.get(self.name or "")
        if files is not None and not streams.has_output and not any(map(ctx.params.get, files)):
            guard.fail(f"{self.name}: standard output is closed, and the result has no other place", 1)

    def _refuse_idle(self, ctx: Any) -> None:
        found = idle_option(
            self.name or "", ctx.params, lambda name: ctx.get_parameter_source(name).name == "COMMANDLINE"
        )
        if found is not None:
            name, needs = found
            option = next(param for param in self.params if param.name == name)
            written = max(option.opts, key=len)
            if ctx.params[name] is False:  # the second name of a switch
                written = max(option.secondary_opts or option.opts, key=len)
            raise guard.UsageError(f"{written} {needs}", ctx)


class CommandGroup(TyperGroup):
    """The commands of the table, each imported when it is needed, and what becomes of their errors."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.commands = dict.fromkeys(_BY_NAME)  # type: ignore[assignment]  # names, for "did you mean"

    def list_commands(self, ctx: Any) -> list[str]:
        """Names in the order of the table."""
        return list(_BY_NAME)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import a command, None for an unknown name."""
        command = _BY_NAME.get(cmd_name)
        if command is None:
            return None
        interrupts.hint = _same_command if command.resumes else None
        function = import_module(f"splade_engine.cli.{command.name}").run
        app = typer.Typer(rich_markup_mode=None, add_completion=False, pretty_exceptions_enable=False)
        app.command(command.name, cls=CheckedCommand, context_settings=_HELP_NAMES)(function)
        return typer.main.get_command(app)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """The table by section, without importing a command."""
        for section in dict.fromkeys(command.section for command in COMMANDS):
            with formatter.section(section):
                formatter.write_dl([(c.name, c.help) for c in COMMANDS if c.section == section])

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run a command and end the process with its exit code."""
        try:
            with guard.guarded():
                code = super().main(*args, **kwargs | {"standalone_mode": False})
        except typer.Exit as ended:
            code = ended.exit_code
        raise SystemExit(code or 0)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Without arguments the help is shown, as the error that it is."""
        if not args and not ctx.resilient_parsing:  # a shell that completes has none
            typer.echo(ctx.get_help(), err=True)
            raise typer.Exit(guard.BAD_INPUT)
        if not ctx.resilient_parsing:
            _refuse_twice(self, ctx, args)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the command that the arguments name."""
        with guard.guarded():
            return super().invoke(ctx)


_HELP_NAMES = {"help_option_names": ["-h", "--help"]}
_EPILOG = """\b
Try it:
  splade-engine demo
  splade-engine index notes/ -o my-index
  splade-engine search my-index "how do tides work" --explain

COMMAND --help describes a command and gives examples.
"""

app = typer.Typer(
    name="splade-engine",
    cls=CommandGroup,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings=_HELP_NAMES,
    epilog=_EPILOG,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"splade-engine {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log more to standard error.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Results and errors only.")] = False,
    progress: Annotated[
        bool | None,
        typer.Option("--progress/--no-progress", help="Progress bars; default: on a terminal, not if quiet."),
    ] = None,
) -> None:
    """Learned sparse retrieval: encode text into term vectors, index them, search, explain, evaluate."""
    from splade_engine.cli import log

    log.configure(logging.DEBUG if verbose else logging.ERROR if quiet else logging.INFO, progress)
