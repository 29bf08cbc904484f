"""Index folders with odd things in them: each gives an error, soon, without reaching outside."""

from __future__ import annotations

import json
import os
import pickle  # noqa: TID251 - the attack is a pickle: nothing may ever load one
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from splade_engine.errors import IndexCorruptError, IndexNotFoundError, IndexVersionError, SpladeEngineError
from splade_engine.index import SparseIndex
from splade_engine.index.disk.storage import digest
from tests.attacks import victim
from tests.attacks.hostile import read_body, write_body

EVENTS: list[tuple[str, str]] = []
WATCHED = threading.Event()  # of all threads: segments are opened by several


def _audit(event: str, arguments: tuple) -> None:
    if WATCHED.is_set():
        if event == "open" and isinstance(arguments[0], str | bytes | os.PathLike):
            EVENTS.append((event, os.fsdecode(arguments[0])))
        elif event.split(".")[0] in ("exec", "compile", "socket", "subprocess", "pickle") or event in (
            "os.system", "os.exec", "os.posix_spawn", "os.remove", "os.rename", "os.mkdir", "os.rmdir",
        ):  # fmt: skip
            EVENTS.append((event, repr(arguments)[:200]))


@pytest.fixture(scope="module", autouse=True)
def audit() -> None:
    """An audit hook cannot be removed: it is added once and listens only while `WATCHED` is set."""
    sys.addaudithook(_audit)


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("victim") / "ix"
    victim.build(folder)
    victim.answers(folder)
    return folder


@pytest.fixture
def folder(pristine: Path, tmp_path: Path) -> Path:
    return victim.copy(pristine, tmp_path / "ix")


def watched(folder: Path) -> Iterator[str]:
    """Open the index and look at everything; yields every path that was opened and every event."""
    EVENTS.clear()
    WATCHED.set()
    try:
        victim.answers(folder)
    finally:
        WATCHED.clear()
        yield from (f"{event} {what}" for event, what in EVENTS)


def some(folder: Path, kind: str) -> Path:
    return next(folder.glob(f"*.{kind}"))


def linked(kind: str, target: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "manifest.json" if kind == "manifest" else some(folder, kind)
        kept = folder.parent / "kept"
        path.rename(kept)
        path.symlink_to(kept if target == "itself" else target)

    return change


def replaced(kind: str, make: Callable[[Path], object]) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "manifest.json" if kind == "manifest" else some(folder, kind)
        path.unlink()
        make(path)

    return change


def sealed(text: bytes) -> Callable[[Path], None]:
    data = b'{"body":' + text + f',"xxh3_128":"{digest(text)}"}}\n'.encode()
    return lambda folder: (folder / "manifest.json").write_bytes(data) and None


def with_body(change: Callable[[dict], object]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        body = read_body(folder)
        change(body)
        write_body(folder, body)

    return apply


def sparse(size: int) -> Callable[[Path], object]:
    def make(path: Path) -> None:
        path.touch()
        os.truncate(path, size)

    return make


KINDS = ("manifest", "postings", "ids", "payload", "deleted")
ODD: dict[str, Callable[[Path], None]] = {}
for kind in KINDS:
    ODD |= {
        f"{kind} is a link to itself elsewhere": linked(kind, "itself"),
        f"{kind} is a link to /etc/passwd": linked(kind, "/etc/passwd"),
        f"{kind} is a link to /dev/zero": linked(kind, "/dev/zero"),
        f"{kind} is a link to nothing": linked(kind, "nowhere"),
        f"{kind} is a pipe": replaced(kind, os.mkfifo),
        f"{kind} is a folder": replaced(kind, os.mkdir),
        f"{kind} is empty": replaced(kind, Path.touch),
        f"{kind} is 1 TiB of nothing": replaced(kind, sparse(1 << 40)),
        f"{kind} is missing": replaced(kind, lambda path: None),
        f"{kind} is a pickle": replaced(kind, lambda path: path.write_bytes(BOMB)),
    }


WAS_HERE = Path(tempfile.gettempdir()) / "splade-engine-was-here"


class Bomb:
    def __reduce__(self) -> tuple:
        return os.system, (f"touch {WAS_HERE}",)


BOMB = pickle.dumps(Bomb())
ODD |= {
    "manifest of 100 MB": replaced("manifest", lambda path: path.write_bytes(b" " * 100_000_000)),
    "5,000 levels of JSON": sealed(b'{"a":' * 5000 + b"1" + b"}" * 5000),
    "a key twice": sealed(b'{"magic":1,"magic":2}'),
    "1e400": with_body(lambda b: b["tuning"][0].update(recall=float("1e308") * 10)),
    "2^62 documents": with_body(lambda b: b["segments"][0].update(n_docs=2**62)),
    "2^32 - 1 documents": with_body(lambda b: b["segments"][0].update(n_docs=2**32 - 1)),
    "2^61 items": with_body(lambda b: b["segments"][0]["ids"]["sections"]["bytes"].__setitem__(0, 2**61)),
    "a settings bomb": with_body(lambda b: b["tuning"][0]["settings"].update(n_candidates=2**60)),
    "a name that climbs": with_body(lambda b: b["segments"][0]["ids"].update(id="../../../etc/passwd")),
    "an absolute name": with_body(lambda b: b["segments"][0]["ids"].update(id="/etc/passwd")),
    "a name with NUL": with_body(lambda b: b["segments"][0]["ids"].update(id="a\0b")),
    "another kind's file": with_body(lambda b: b["segments"][0].update(ids=b["segments"][0]["payload"])),
    "a column type to import": with_body(lambda b: b["segments"][0]["columns"][0].insert(1, "os.system")),
    "version 2 without its lists": with_body(lambda b: b.update(format_version=2)),
    "version 3": with_body(lambda b: b.update(format_version=3)),
    "other byte order": with_body(lambda b: b.update(format_version=1 << 56)),
    "10,000 segments": with_body(lambda b: b.update(segments=b["segments"] * 5000)),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_odd_folders_are_refused_soon_and_cheaply(name: str, folder: Path) -> None:
    before = {p.name for p in folder.parent.iterdir()}
    ODD[name](folder)
    resident, start = psutil.Process().memory_info().rss, time.monotonic()
    seen: list[str] = []
    with pytest.raises((IndexCorruptError, IndexVersionError, IndexNotFoundError)) as caught:
        seen.extend(watched(folder))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600
    assert time.monotonic() - start < 10.0  # 10,000 segments cost no work each; a loaded machine may pause
    assert psutil.Process().memory_info().rss - resident < 50 << 20
    assert {p.name for p in folder.parent.iterdir()} - {"kept"} == before
    assert not WAS_HERE.exists()
    for event, what in EVENTS:
        assert event == "open", (event, what)
        assert Path(what).is_relative_to(folder), what


def test_a_good_index_opens_only_its_own_files_and_runs_nothing(pristine: Path) -> None:
    events = list(watched(pristine))
    files = {p.name for p in pristine.iterdir()} - {"write.lock"}
    assert files <= {Path(e.split(" ", 1)[1]).name for e in events}
    assert [e for e in events if not e.startswith(f"open {pristine}")] == []


def test_the_hook_notices() -> None:
    EVENTS.clear()
    WATCHED.set()
    try:
        compile("1", "x", "eval")
        Path("/etc/hostname").exists()
        with Path(__file__).open():
            pass
    finally:
        WATCHED.clear()
    assert [event for event, _ in EVENTS] == ["compile", "open"]


def test_odd_names_of_folders_work(pristine: Path, tmp_path: Path) -> None:
    good = victim.answers(pristine)
    for name in ["with space", "new\nline", "ümläut 😀", "-rf", "%s {0}", "a" * 200, "x.json", "..."]:
        folder = victim.copy(pristine, tmp_path / name)
        assert victim.answers(folder) == good
        SparseIndex.open(folder).delete(["5"])
    (tmp_path / "link").symlink_to(pristine)  # a link to an index folder is the user's own
    assert victim.answers(tmp_path / "link") == good
    with pytest.raises((SpladeEngineError, ValueError)):
        SparseIndex.open(tmp_path / "nul\0")


def test_json_of_the_body_is_what_was_meant(folder: Path) -> None:
    body = read_body(folder)
    write_body(folder, json.loads(json.dumps(body)))
    assert victim.answers(folder)  # sealing again changes nothing: the refusals above have other reasons
