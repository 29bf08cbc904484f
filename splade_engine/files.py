"""How files and folders are written, checked, flushed and locked: the one place.

Whatever is written is written beside what it replaces, flushed, and renamed into place. A reader sees the old
state or the new one, never half of it. Where the system has files without a name (Linux), a writer of a file
that is killed leaves nothing. Otherwise it leaves a hidden neighbour; the next writer in that folder removes
it.
"""

from __future__ import annotations

import itertools
import json
import os
import platform
import re
import shutil
import stat
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from xxhash import xxh3_64_intdigest, xxh3_128, xxh3_128_hexdigest

from splade_engine.errors import InvalidInputError, StorageError

_BLOCK = 1 << 22
_DESCRIPTORS = "/proc/self/fd"
_serial = itertools.count()
_tidied: set[Path] = set()  # folders that this process has looked through for the remains of others
_NEIGHBOUR = re.compile(r"\.(?P<target>.+)\.(?P<host>[0-9a-f]{6})-(?P<pid>\d+)-\d+\.(?P<role>tmp|old)", re.S)


@contextmanager
def disk_errors(path: str | Path, doing: str = "write") -> Iterator[None]:
    """Turn an `OSError` of the block into a `StorageError` that names `path`.

    Raises:
        StorageError: "cannot write PATH: No space left on device", with the system's errno.
    """
    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        reason = error.strerror or str(error) or type(error).__name__
        raise StorageError(error.errno or 0, f"cannot {doing} {path}: {reason}") from error


# ---- one file, one folder -------------------------------------------------------------------------------


@contextmanager
def atomic_file(path: str | Path) -> Iterator[BinaryIO]:
    """Open a temporary file beside `path`; when the block ends well it is fsynced and takes `path`'s place.

    A pipe or a device (/dev/stdout, /dev/null) is never replaced: it gets what was written when the block
    ends well.

    Raises:
        StorageError: naming the file, if the disk refuses (full, read-only, no such folder).
    """
    target = Path(path)
    with disk_errors(target):
        if is_stream(target):
            with tempfile.TemporaryFile() as collected:
                yield collected
                collected.seek(0)
                with target.open("wb") as stream:
                    shutil.copyfileobj(collected, stream, _BLOCK)
            return
        temporary = _neighbour(target, "tmp")
        try:
            nameless = _nameless(target.parent)
            with temporary.open("xb") if nameless is None else nameless as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
                if nameless is not None:
                    _name(nameless, temporary)
            temporary.replace(target)
            sync_folder(target.parent)
        finally:
            with suppress(OSError):
                temporary.unlink()


def is_stream(path: Path) -> bool:
    """Whether `path` is neither a regular file nor a folder nor free: a pipe, a device, a terminal.

    What lies in /dev is a stream even where it stands for a regular file, as /dev/stdout may.
    """
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)) or path.absolute().parts[1:2] == ("dev",)


def _nameless(folder: Path) -> BinaryIO | None:
    """A file without a name in `folder`, of which nothing is left if this process is killed.

    None where the system or the file system has no such files.
    """
    flags = getattr(os, "O_TMPFILE", None)
    if flags is None or not Path(_DESCRIPTORS).is_dir():
        return None
    try:
        return os.fdopen(os.open(folder, os.O_RDWR | flags, 0o666), "w+b")
    except OSError:  # what is wrong with the folder, opening a file with a name says
        return None


def _name(file: BinaryIO, path: Path) -> None:
    """Give a nameless file, which is flushed, a name."""
    try:
        # a descriptor of a folder makes Python call linkat, which follows the link in /proc
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.link(f"{_DESCRIPTORS}/{file.fileno()}", path, src_dir_fd=folder, follow_symlinks=True)
        finally:
            os.close(folder)
    except OSError:  # a file system that can make such files and not name them
        file.seek(0)
        with path.open("xb") as copy:
            shutil.copyfileobj(file, copy, _BLOCK)
            copy.flush()
            os.fsync(copy.fileno())


def expanded(path: str | Path) -> Path:
    """`path` with the home folder in place of `~`; as it is where that is not known (an unknown user)."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def cache_root() -> Path:
    """The folder for compiled kernels and downloads: `SPLADE_ENGINE_CACHE`, else `~/.cache/splade-engine`."""
    given = os.environ.get("SPLADE_ENGINE_CACHE")
    if given:
        return Path(given)
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "splade-engine"


@contextmanager
def atomic_folder(path: str | Path, *, overwrite: bool = False, mark: str = "") -> Iterator[Path]:
    """A temporary folder that becomes `path` when the block ends without an error.

    Args:
        path: its final name.
        overwrite: replace a folder that is there.
        mark: only one that holds a file of this name: what every such folder has, and others have not.

    Raises:
        InvalidInputError: `path` exists and is not an empty folder (without `overwrite`), or lacks the mark.
        StorageError: the disk refuses.
    """
    target = expanded(path).absolute()
    check_replaceable(target, mark, path)
    with disk_errors(path):
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = _neighbour(target, "tmp")
        if target.is_dir() and any(target.iterdir()) and not overwrite:
            raise InvalidInputError(f"{path}: the folder is not empty")
        temporary.mkdir()
        try:
            yield temporary
            _sync_tree(temporary)
            _publish(temporary, target)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def check_replaceable(folder: Path, mark: str, name: str | Path = "") -> None:
    """Refuse to replace a folder that is not empty and of another kind, as `atomic_folder` does.

    Raises:
        InvalidInputError: it is a file, or holds something but no file `mark`; `name` begins the message.
    """
    name = name or folder
    if folder.exists() and not folder.is_dir():
        raise InvalidInputError(f"{name}: exists and is not a folder")
    with disk_errors(name, "read"):
        held = sorted(path.name for path in folder.iterdir()) if mark and folder.is_dir() else []
    if held and mark not in held:
        raise InvalidInputError(
            f"{name}: holds {held[0]!r} and no {mark}: nothing that would be replaced; choose another"
        )


def _publish(temporary: Path, target: Path) -> None:
    """Rename; a folder that is replaced is moved aside first and deleted last."""
    aside = None
    if target.is_dir():
        if any(target.iterdir()):
            aside = _neighbour(target, "old")
            target.rename(aside)
        else:
            target.rmdir()
    temporary.rename(target)
    sync_folder(target.parent)
    if aside is not None:
        shutil.rmtree(aside, ignore_errors=True)


def _sync_tree(folder: Path) -> None:
    """Flush everything, and give files the mode that other new files get.

    safetensors makes them for the owner alone, and a model that others cannot read is of no use on a shared
    disk.
    """
    mode = folder.stat().st_mode & 0o666
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            path.chmod(mode)
            with path.open("rb+") as file:
                os.fsync(file.fileno())
        else:
            sync_folder(path)
    sync_folder(folder)


def sync_folder(folder: Path) -> None:
    """Flush the names in a folder to the disk: without it, a file that was flushed may still have no name.

    Does nothing on Windows, where a folder cannot be opened.
    """
    if sys.platform == "win32":
        return
    handle = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


# ---- what killed writers leave --------------------------------------------------------------------------


def _neighbour(target: Path, role: str) -> Path:
    """A hidden name beside `target` that tells which process of which machine made it."""
    _tidy(target.absolute().parent)
    name = target.name
    if len(os.fsencode(name)) > 180:  # names end at 255 bytes
        name = digest(os.fsencode(name))
    return target.with_name(f".{name}.{_host()}-{os.getpid()}-{next(_serial)}.{role}")


def _host() -> str:
    return digest(platform.node().encode())[:6]


def _tidy(folder: Path) -> None:
    """Remove what processes of this machine that no longer run have left in `folder`; never raises.

    A folder that was moved aside is put back where its successor never arrived.
    """
    if folder in _tidied:
        return
    _tidied.add(folder)
    with suppress(OSError):
        for entry in list(os.scandir(folder)):
            match = _NEIGHBOUR.fullmatch(entry.name)
            if match is None or match["host"] != _host() or runs(int(match["pid"])):
                continue
            path, target = folder / entry.name, folder / match["target"]
            if match["role"] == "old" and not os.path.lexists(target):
                path.rename(target)
            elif entry.is_dir(follow_symlinks=False):
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)  # Windows refuses while somebody has it open


def runs(pid: int) -> bool:
    """Whether this machine has a process of that number."""
    if sys.platform == "win32":  # os.kill would end it; an open file cannot be deleted there anyway
        return pid == os.getpid()
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):  # none has such a number
        return False
    except OSError:
        pass  # somebody else's: it runs
    return True


# ---- checksums and JSON ---------------------------------------------------------------------------------


class Digest:
    """xxh3-128 of bytes that come in pieces."""

    def __init__(self) -> None:
        self._state = xxh3_128()

    def update(self, data: Any) -> None:
        """Take a buffer in."""
        self._state.update(data)

    def update_from(self, path: Path) -> None:
        """Take the bytes of a file in."""
        with path.open("rb") as stream:
            while block := stream.read(_BLOCK):
                self._state.update(block)

    def text(self) -> str:
        """Of everything so far, as 32 hexadecimal digits."""
        return str(self._state.hexdigest())


def digest(data: Any) -> str:
    """xxh3-128 of a buffer as 32 hexadecimal digits.

    It runs at 31 GB/s on one core: checking costs less than reading.
    """
    return str(xxh3_128_hexdigest(data))


def digest_64(data: Any) -> int:
    """xxh3-64 of a buffer, for tables and short names; whoever uses it expects that two may be equal."""
    return int(xxh3_64_intdigest(data))


def digest_of_file(path: Path) -> str:
    """xxh3-128 of a file's bytes."""
    total = Digest()
    total.update_from(path)
    return total.text()


def digest_of_json(value: Any) -> str:
    """xxh3-128 of a value that JSON can hold, whatever the order of its keys. Others are taken as `str`."""
    return digest(json.dumps(value, sort_keys=True, default=str).encode())


def write_json(path: str | Path, value: Any, *, indent: int | None = 2) -> None:
    """Write JSON atomically: UTF-8, a final newline; two spaces, as transformers writes it, unless told.

    Raises:
        StorageError: the disk refuses.
    """
    try:
        data = json.dumps(value, indent=indent, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # half a surrogate pair: as an escape it is valid JSON in valid UTF-8
        data = json.dumps(value, indent=indent).encode()
    with atomic_file(path) as file:
        file.write(data + b"\n")


def write_text(path: str | Path, text: str) -> None:
    """Write a text file atomically, in UTF-8.

    Raises:
        StorageError: the disk refuses.
    """
    with atomic_file(path) as file:
        file.write(text.encode())


def read_json(path: str | Path, *, most: int = 1 << 26) -> Any:
    """The value in a JSON file.

    Args:
        path: a regular file; a link to one is followed. A pipe or a device is refused, never waited on.
        most: bytes that such a file can sensibly have.

    Raises:
        InvalidInputError: naming the file and what is wrong with it (not JSON, not UTF-8, nested too deeply,
            too large, not a regular file).
        StorageError: the disk refuses, or there is no such file.
    """
    try:
        return json.loads(read_text(path, most=most))
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise InvalidInputError(f"{path}: not JSON ({error.msg}, {where})") from None
    except RecursionError:
        raise InvalidInputError(f"{path}: nested too deeply") from None
    except InvalidInputError:
        raise
    except ValueError as error:  # an integer of more than 4,300 digits
        raise InvalidInputError(f"{path}: {str(error).splitlines()[0]}") from None


def read_toml(path: str | Path) -> dict[str, Any]:
    """The table in a TOML file.

    Raises:
        InvalidInputError, StorageError: as `read_json`.
    """
    return parsed_toml(read_text(path), str(path))


def parsed_toml(text: str, place: str) -> dict[str, Any]:
    """The table in a text; `place` begins the message.

    Raises:
        InvalidInputError: it is not TOML, nested too deeply, or holds a number of thousands of digits.
    """
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise InvalidInputError(f"{place}: nested too deeply") from None
    except ValueError as error:
        raise InvalidInputError(f"{place}: not TOML: {str(error).splitlines()[0]}") from None


def read_text(path: str | Path, *, most: int = 1 << 26) -> str:
    """The content of a text file in UTF-8, with or without a byte order mark; arguments as for `read_json`.

    Raises:
        InvalidInputError: not UTF-8, too large, not a regular file.
        StorageError: the disk refuses, or there is no such file.
    """
    with disk_errors(path, "read"):
        status = Path(path).stat()
        if not stat.S_ISREG(status.st_mode):
            raise InvalidInputError(f"{path}: not a regular file")
        if status.st_size > most:
            raise InvalidInputError(f"{path}: {status.st_size} bytes, more than the {most} that can be meant")
        data = Path(path).read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidInputError(f"{path}: not UTF-8") from None
