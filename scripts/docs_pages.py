"""The pages of the site that are made from the code: API, commands, error messages, and the root's documents.

`docs/conf.py` calls `write_pages` before Sphinx reads its sources; nothing of this is committed.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent
from typing import get_args

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "splade_engine"
# the doors: (module, title, what it is for)
DOORS = (
    ("splade_engine", "splade_engine", "The names that most programs need."),
    ("splade_engine.engine", "splade_engine.engine", "Text in, ranked and explained hits out."),
    ("splade_engine.encoder", "splade_engine.encoder", "Text to sparse vectors."),
    ("splade_engine.index", "splade_engine.index", "Sparse vectors on disk, searched."),
    ("splade_engine.vectors", "splade_engine.vectors", "The vectors themselves, and their files."),
    ("splade_engine.collections", "splade_engine.collections", "Documents from files and records."),
    ("splade_engine.training", "splade_engine.training", "Training and mining."),
    ("splade_engine.eval", "splade_engine.eval", "Evaluation on test collections."),
    ("splade_engine.exchange", "splade_engine.exchange", "Export to other systems, import from them."),
    ("splade_engine.server", "splade_engine.server", "Search over HTTP and MCP."),
    ("splade_engine.ray", "splade_engine.ray", "Encoding and building on a Ray cluster."),
    ("splade_engine.errors", "splade_engine.errors", "Every error that is raised on purpose."),
)


def write_pages(folder: Path) -> None:
    """Write every generated page into `folder`, and leave alone those that have not changed."""
    pages = {"cli.md": commands(), "error-messages.md": messages(), "api/index.md": api_index()}
    pages["programs.md"] = programs()
    pages |= {f"api/{module}.md": api_page(module, what) for module, _, what in DOORS}
    for name, source in ROOT_PAGES.items():
        if (ROOT / source).exists():
            pages[name] = root_page((ROOT / source).read_text(encoding="utf-8"))
    for name, text in pages.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def page_names() -> list[str]:
    """The names of the generated pages, below `docs/generated`."""
    doors = [f"api/{module}.md" for module, _, _ in DOORS]
    return ["cli.md", "error-messages.md", "programs.md", "api/index.md", *doors, *ROOT_PAGES]


# ---- the root's documents -------------------------------------------------------------------------------

ROOT_PAGES = {
    "architecture.md": "ARCHITECTURE.md",
    "changelog.md": "CHANGELOG.md",
    "contributing.md": "CONTRIBUTING.md",
}
_SITE = {source: name for name, source in ROOT_PAGES.items()}
_LINK = re.compile(r"(?<!!)\[([^\]]*)\]\((?!https?:|#|mailto:)([^)#\s]+)(#[^)\s]*)?\)")


def root_page(text: str) -> str:
    """A document of the root as a page in `docs/generated`: links into docs stay, others become text."""

    def link(found: re.Match[str]) -> str:
        words, target, place = found[1], found[2], found[3] or ""
        if target.startswith("docs/") and target.endswith(".md"):
            return f"[{words}](../{target.removeprefix('docs/')}{place})"
        if target in _SITE:
            return f"[{words}]({_SITE[target]}{place})"
        return words if words.startswith("`") else f"`{words}`"

    return _LINK.sub(link, text)


# ---- examples -------------------------------------------------------------------------------------------


def programs() -> str:
    """Every program of `examples/`, as it stands."""
    lines = ["# Example programs", "", "Each is shown as it stands; `# prints:` begins what it prints.", ""]
    for path in sorted((ROOT / "examples").glob("*.py")):
        summary = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").strip()
        lines += [f"## {path.name}", "", summary, "", f"```{{literalinclude}} ../../examples/{path.name}"]
        lines += [":language: python", "```", ""]
    return "\n".join(lines)


# ---- API -------------------------------------------------------------------------------------------------


def public_names(module: str) -> list[str]:
    """What a door offers: its `__all__`, or the classes that it defines."""
    door = __import__(module, fromlist=["x"])
    listed = getattr(door, "__all__", None)
    if listed is not None:
        return list(listed)
    return [name for name, value in vars(door).items() if getattr(value, "__module__", "") == module]


def api_index() -> str:
    """The list of doors."""
    rows = [f"| [{title}]({module}.md) | {what} |" for module, title, what in DOORS]
    toc = [f"{module}" for module, _, _ in DOORS]
    return "\n".join(
        [
            "# Python API",
            "",
            "Each page is a *door*: a module whose names are public. They keep working as the",
            "[deprecation policy](../../deprecation.md) says. Everything else is internal.",
            "",
            "| module | what it is for |",
            "|---|---|",
            *rows,
            "",
            "```{toctree}",
            ":hidden:",
            "",
            *toc,
            "```",
            "",
        ]
    )


def api_page(module: str, what: str) -> str:
    """One door: each of its names with its docstring and its members."""
    door = __import__(module, fromlist=["x"])
    lines = [f"# {module}", "", what, ""]
    for name in public_names(module):
        value = getattr(door, name)
        home = f"{module}.{name}"
        first = next((d for d, _, _ in DOORS if name in public_names(d) and d != "splade_engine"), module)
        if isinstance(value, type):
            kind = "autoexception" if issubclass(value, Exception) else "autoclass"
        else:
            kind = "autofunction" if callable(value) else "autodata"
        lines += [f"## {name}", ""]
        if module == "splade_engine" and first != module:
            lines += [f"See [{first}.{name}]({first}.md#{name.lower()}).", ""]
            continue
        if kind == "autodata":
            lines += [described(value), ""]
            continue
        lines += ["```{eval-rst}", f".. {kind}:: {home}"]
        if kind in ("autoclass", "autoexception"):
            lines += ["   :members:"]
        lines += ["```", ""]
    return "\n".join(lines)


def described(value: object) -> str:
    """A name that is neither class nor function: a table by name, or a union of types."""
    if isinstance(value, Mapping):
        return "A table by name: " + ", ".join(f"`{key}`" for key in value) + "."
    return "One of " + ", ".join(f"`{kind.__name__}`" for kind in get_args(value)) + "."


# ---- commands --------------------------------------------------------------------------------------------


def commands() -> str:
    """Every command with its help and a table of its options, as `--help` shows them."""
    import typer
    from typer.core import TyperArgument

    from splade_engine.cli.commands import COMMANDS, app

    group = typer.main.get_command(app)
    context = group.context_class(group, info_name="splade-engine")
    lines = [
        "# Commands",
        "",
        "This page is made from the commands themselves; `splade-engine COMMAND --help` prints the same.",
        "The options `--verbose`, `--quiet`, `--progress` and `--no-progress` stand before any command;",
        "the first two may also stand behind it.",
        "",
        "The exit code is 0 for success, 1 for a failure, 2 for input that cannot be accepted, 130 after",
        "Ctrl-C and 141 when nobody reads the output.",
        "",
    ]
    for section in dict.fromkeys(command.section for command in COMMANDS):
        lines += [f"## {section}", ""]
        for row in (c for c in COMMANDS if c.section == section):
            command = group.get_command(context, row.name)  # type: ignore[attr-defined]
            lines += [f"### {row.name}", "", *help_text(command.help or row.help), ""]
            arguments = [p for p in command.params if isinstance(p, TyperArgument)]
            options = [
                p
                for p in command.params
                if not isinstance(p, TyperArgument) and p.name not in ("verbose", "quiet") and not p.hidden
            ]
            if arguments or options:
                lines += ["| | default | meaning |", "|---|---|---|"]
                for p in arguments:
                    lines.append(f"| `{p.name}` | | {cell(p.help)} |")
                for p in options:
                    names = ", ".join(f"`{name}`" for name in [*p.opts[::-1], *p.secondary_opts])
                    default = (
                        "" if p.default in (None, False, (), []) or callable(p.default) else f"`{p.default}`"
                    )
                    lines.append(f"| {names} | {cell(default)} | {cell(p.help)} |")
                lines.append("")
    return "\n".join(lines)


def help_text(text: str) -> list[str]:
    """A command's help: paragraphs behind a backspace keep their lines."""
    out: list[str] = []
    for block in re.split(r"\n\s*\n", text.strip("\n")):
        kept = block.lstrip("\n")
        if kept.lstrip().startswith("\b"):
            body = kept.lstrip().removeprefix("\b").strip("\n")
            head, _, rest = body.partition("\n")
            if head.rstrip().endswith(":") and rest:
                out += [head.strip(), ""]
                body = rest
            out += ["```text", *dedent(body).splitlines(), "```", ""]
        else:
            out += [re.sub(r"(?<![`\w])(--[\w-]+)", r"`\1`", " ".join(kept.split())), ""]
    return out


def cell(text: str | None) -> str:
    """A cell of a table."""
    return " ".join((text or "").replace("|", "\\|").replace("<", "&lt;").split())


# ---- error messages --------------------------------------------------------------------------------------


# what the command line and the server say on their own, by what makes it; sections of the page
USAGE, REQUESTS = "The command line", "The server"
SAID = dict.fromkeys(("BadParameter", "UsageError"), USAGE) | dict.fromkeys(
    ("Problem", "invalid", "too_large", "not_found", "overloaded", "too_slow"), REQUESTS
)


MEANT = {
    USAGE: "Arguments that cannot be meant: exit code 2.",
    REQUESTS: "In the field `error` of an answer, beside `error_type`; [server.md](../server.md#limits) has "
    "the statuses.",
}


def raised() -> dict[str, list[tuple[str, str]]]:
    """The template of every message of an error that the package makes: its class, or who says it.

    Each is a list of (message, module) in order.
    """
    from splade_engine import errors

    kinds = {
        name: name
        for name, value in vars(errors).items()
        if isinstance(value, type) and value.__module__ == errors.__name__
    } | SAID
    found: dict[str, list[tuple[str, str]]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        module = path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__")
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            name = called(node.func)
            if name not in kinds or (kinds[name] == REQUESTS and ".server" not in module):
                continue
            texts = [template(argument) for argument in node.args]
            message = next(
                (text for text in texts if " " in text and re.search(r"[a-z]{3}", text_alone(text))), ""
            )
            entry = (message, module)
            if message and entry not in found.setdefault(kinds[name], []):
                found[kinds[name]].append(entry)
    return found


def called(function: ast.expr) -> str:
    """The last part of the name of what is called."""
    return function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")


def text_alone(message: str) -> str:
    """A message without what is put in."""
    return re.sub(r"\{[^}]*\}", "", message)


def template(node: ast.expr) -> str:
    """A message with `{...}` where a value is put in; "" for what is no text."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        return "".join(
            part.value
            if isinstance(part, ast.Constant) and isinstance(part.value, str)
            else "{" + inside(part) + "}"
            for part in node.values
        )
    if isinstance(node, ast.BinOp):
        return template(node.left) + template(node.right)
    return ""


def inside(part: ast.expr) -> str:
    """A short name for a value in a message."""
    assert isinstance(part, ast.FormattedValue)
    name = ast.unparse(part.value)
    words = re.findall(r"[A-Za-z_]\w*", name)
    return words[-1] if len(name) > 24 and words else name.replace("{", "(").replace("}", ")")


def messages() -> str:
    """The catalogue of messages, by error class and module."""
    from splade_engine import errors

    lines = [
        "# All error messages",
        "",
        "This list is made from the source: every message that splade-engine raises on purpose. Words in",
        "braces are replaced by the file, row or value that the message is about.",
        "[Troubleshooting](../troubleshooting.md) says, for each kind of error, what causes it and what to",
        "do.",
        "",
    ]
    for name, found in sorted(raised().items()):
        doc = MEANT.get(name) or " ".join((getattr(errors, name).__doc__ or "").split())
        lines += [f"## {name}", "", doc, ""]
        for module in dict.fromkeys(module for _, module in found):
            lines += [f"`{module}`", ""]
            lines += [f"- `` {' '.join(message.split())} ``" for message, m in found if m == module]
            lines.append("")
    return "\n".join(lines)
