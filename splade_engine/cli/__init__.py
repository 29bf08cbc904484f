"""The command line: `splade-engine COMMAND`.

Each command is a function in `cli/<command>.py`, imported when it is called; `--help` reads the table below
and loads none of them, nor torch, transformers, numba or pyarrow. Results go to standard output, progress
and logs to standard error. The exit code is 0, 1 for a failure, 2 for bad input, 130 for Ctrl-C; an error
that was foreseen is one line, never a traceback.
"""

from __future__ import annotations

import logging
import os
import sys
from dataclasses import dataclass
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from splade_engine import __version__
from splade_engine.errors import SpladeEngineError

BROKEN_PIPE = 141  # 128 + SIGPIPE: what a shell reports for `cat file | head -1`
INTERRUPTED = 130


@dataclass(frozen=True)
class Command:
    """One row of the table: `function` in the module `cli/<name>.py`, listed under `section`."""

    name: str
    section: str
    help: str
    function: str = "run"


COMMANDS = (
    Command("demo", "Start", "Index Python's own documentation and search it, with reasons."),
    Command("index", "Search your text", "Encode a corpus and build an index of it."),
    Command("search", "Search your text", "Search an index; --explain says why a document was found."),
    Command("add", "Search your text", "Encode more documents into an index."),
    Command("delete", "Search your text", "Remove documents from an index by id."),
    Command("compact", "Search your text", "Merge an index's segments; drop what was deleted."),
    Command("info", "Search your text", "What an index holds: documents, terms, size, encoder, settings."),
    Command("check", "Search your text", "Verify every byte and every structure of an index."),
    Command("tune", "Search your text", "Find the settings that reach a recall; store them in the index."),
    Command("bench", "Search your text", "Time searches of an index, with recall against exact search."),
    Command("train", "Train", "Train an encoder from a recipe, or fine-tune one.", "train"),
    Command("mine", "Train", "Find hard negatives for training pairs.", "mine"),
    Command("eval", "Evaluate", "Score systems on test collections: effectiveness, sparsity and cost."),
    Command("compare", "Evaluate", "Results and runs side by side: an HTML page, LaTeX, Markdown."),
    Command("encode", "Vectors", "Encode a corpus or queries into a vector file."),
    Command("export", "Vectors", "Write the vectors of an index for other engines."),
)
RESUMABLE = ("demo", "encode", "index", "mine")  # what is encoded is kept
_BY_NAME = {command.name: command for command in COMMANDS}


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
        function = getattr(import_module(f"splade_engine.cli.{command.name}"), command.function)
        app = typer.Typer(rich_markup_mode=None, add_completion=False, pretty_exceptions_enable=False)
        app.command(command.name, context_settings=_HELP_NAMES)(function)
        return typer.main.get_command(app)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """The table by section, without importing a command."""
        for section in dict.fromkeys(command.section for command in COMMANDS):
            with formatter.section(section):
                formatter.write_dl([(c.name, c.help) for c in COMMANDS if c.section == section])

    def invoke(self, ctx: Any) -> Any:
        """Run the command; turn what it raises into one line and an exit code."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()  # a closed pipe shows here, not while the interpreter shuts down
        except SpladeEngineError as error:
            _fail(" ".join(str(error).split()), error.exit_code)
        except BrokenPipeError:
            sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115  # for the flush at exit
            raise typer.Exit(BROKEN_PIPE) from None
        except OSError as error:
            place = f"{error.filename}: " if error.filename else ""
            _fail(f"{place}{error.strerror or error}", 1)
        except MemoryError:
            _fail("out of memory", 1)
        except KeyboardInterrupt:
            resumes = ctx.invoked_subcommand in RESUMABLE
            _fail("interrupted" + ("; the same command goes on from there" if resumes else ""), INTERRUPTED)
        return result


def _fail(message: str, code: int) -> None:
    typer.echo(f"splade-engine: {message}", err=True)
    raise typer.Exit(code)


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
    add_completion=False,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
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
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Log errors only; no progress bars.")] = False,
) -> None:
    """Learned sparse retrieval: encode text into term vectors, index them, search, explain, evaluate."""
    from splade_engine.cli import log

    log.configure(logging.DEBUG if verbose else logging.ERROR if quiet else logging.INFO)


def main() -> None:
    """Entry point of the `splade-engine` script."""
    app()
