"""The Hugging Face Hub: encoders and indexes that people share, named `hf://owner/name` or with `@revision`.

An encoder is downloaded into the Hub's own cache, as transformers does it. An index is downloaded into ours,
as real files and one folder for each commit of the repository: its files are mapped into memory, which
follows no links. Either way only what is missing is fetched, and without the network the last download is
used.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from splade_engine.arguments import shown
from splade_engine.errors import HubError, InvalidInputError, SpladeEngineError, StorageError
from splade_engine.files import cache_root, disk_errors, read_text, write_text
from splade_engine.locks import lock_holder, take_lock
from splade_engine.plain_text import one_line, shortened

PREFIX = "hf://"
_AS_PATH = str(Path(PREFIX)) + os.sep
LIBRARY = "splade-engine"
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_REVISION = re.compile(r"[\w][\w./-]*")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_PATIENCE = 3600.0  # seconds that one process waits for another that downloads the same


@dataclass(frozen=True)
class HubName:
    """A repository, and perhaps a branch, tag or commit of it."""

    repo: str
    revision: str | None = None

    def __str__(self) -> str:
        return f"{PREFIX}{self.repo}" + (f"@{self.revision}" if self.revision else "")


def is_hub_name(source: object) -> bool:
    """Whether it names a repository of the Hub in the form `hf://...`."""
    return isinstance(source, str) and source.startswith(PREFIX)


def hub_source(source: object) -> str | None:
    """The `hf://...` that a source stands for; None where it is something else.

    A `Path` of such a name has lost one of the slashes.
    """
    if isinstance(source, Path) and str(source).startswith(_AS_PATH) and not source.exists():
        return PREFIX + str(source).removeprefix(_AS_PATH)
    return source if isinstance(source, str) and is_hub_name(source) else None


def hub_name(source: str) -> HubName:
    """The repository that a name stands for, with or without `hf://`.

    Raises:
        HubError: it is not of the form `hf://owner/name` or `hf://owner/name@revision`.
    """
    if not isinstance(source, str):
        raise HubError(f"repo: a name ({PREFIX}owner/name) is expected, got {shown(source)}")
    repo, at, revision = source.removeprefix(PREFIX).partition("@")
    if not _NAME.fullmatch(repo) or (at and not _REVISION.fullmatch(revision)) or ".." in source:
        raise HubError(
            f"{shown(source)}: a repository is named {PREFIX}owner/name or {PREFIX}owner/name@revision"
        )
    return HubName(repo, revision or None)


# ---- downloading ----------------------------------------------------------------------------------------


def download(name: HubName, patterns: Sequence[str], check: Callable[[Path], object]) -> Path:
    """A folder of real files that holds what a repository has of these patterns, in our cache.

    Args:
        name: of the repository.
        patterns: of the files that are wanted.
        check: raises where a folder is not what it should be. What does not pass is not kept, so that the
            next call downloads it again.

    Raises:
        HubError: there is no such repository or revision, it may not be read, or the Hub is out of reach and
            nothing was downloaded before.
        StorageError: the disk refuses.
    """
    home = cache_root() / "hub" / name.repo.replace("/", "--")
    remembered = home / "refs" / (name.revision or "main").replace("/", "--")
    with disk_errors(home):
        remembered.parent.mkdir(parents=True, exist_ok=True)
    commit = _commit(name, remembered)
    folder = home / commit
    if folder.is_dir():
        return folder
    lock = take_lock(home / "download.lock", timeout=_PATIENCE)
    if lock is None:
        holder = lock_holder(home / "download.lock")
        raise HubError(f"{name}: process {holder} has been downloading it for an hour")
    with lock:
        if not folder.is_dir():
            part = fetch(HubName(name.repo, commit), home / f"{commit}.part", patterns)
            try:
                check_download(name, part, check)
            except HubError:
                shutil.rmtree(part, ignore_errors=True)
                raise
            part.rename(folder)
    return folder


def check_download(name: HubName, folder: Path, check: Callable[[Path], object]) -> None:
    """Look whether a download is what it should be.

    Raises:
        HubError: it is not, naming the repository and its file; the folder, which nobody keeps, is not told.
    """
    try:
        check(folder)
    except SpladeEngineError as error:
        told = str(error).replace(f"{folder}{os.sep}", "")
        raise HubError(f"{name}: as it was downloaded: {told}") from error


def fetch(name: HubName, folder: Path, patterns: Sequence[str]) -> Path:
    """Download into a folder, going on where an earlier call was interrupted.

    Raises:
        HubError, StorageError: as `download`.
    """
    from huggingface_hub import snapshot_download

    with disk_errors(folder), _hub_errors(name):  # in this order: errors of the Hub are OSErrors too
        snapshot_download(
            name.repo,
            revision=name.revision,
            local_dir=folder,
            allow_patterns=list(patterns),
            library_name=LIBRARY,
            tqdm_class=_terminal_bar(),
        )
        shutil.rmtree(folder / ".cache", ignore_errors=True)  # what it notes for downloading again
    return folder


def _terminal_bar() -> Any:
    """The Hub's progress bar, on a terminal only."""
    from tqdm.auto import tqdm

    class Bar(tqdm):  # type: ignore[type-arg]
        def __init__(self, *args: Any, **options: Any) -> None:
            options.pop("name", None)  # of the Hub's own class
            super().__init__(*args, **{"disable": None, **options})

    return Bar


def _commit(name: HubName, remembered: Path) -> str:
    """The commit that a revision is now; without the network the one it was."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    if name.revision and _COMMIT.fullmatch(name.revision):
        return name.revision
    try:
        if offline():
            raise HubError(f"{name}: HF_HUB_OFFLINE is set, and it was not downloaded before")
        with _hub_errors(name):
            info = HfApi(library_name=LIBRARY).repo_info(name.repo, revision=name.revision)
    except HubError as error:
        refused = isinstance(error.__cause__, HfHubHTTPError)
        if not refused and (commit := _remembered(remembered)):
            return commit
        raise
    if not isinstance(info.sha, str) or not _COMMIT.fullmatch(info.sha):
        raise HubError(f"{name}: the Hub names no commit")
    write_text(remembered, info.sha + "\n")
    return info.sha


def _remembered(file: Path) -> str | None:
    """The commit that was noted at the last download; None where there is none."""
    try:
        noted = read_text(file, most=100).strip()
    except (StorageError, InvalidInputError):
        return None
    return noted if _COMMIT.fullmatch(noted) else None


def offline() -> bool:
    """Whether the user wants no network (`HF_HUB_OFFLINE`)."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "TRUE", "YES", "ON"}


# ---- uploading ------------------------------------------------------------------------------------------


def upload(
    folder: Path,
    name: HubName,
    *,
    card: str,
    replaced: Sequence[str],
    private: bool | None = None,
    message: str | None = None,
) -> str:
    """Make a repository what a folder is, in one commit; it is created where there is none.

    Args:
        folder: all of its files are uploaded.
        name: where to; its revision is a branch that exists.
        card: README.md for a repository that has none; one that is there stays.
        replaced: patterns of files that are deleted where the folder does not have them.
        private: of a repository that is created.
        message: of the commit.

    Returns:
        The commit.

    Raises:
        HubError: the Hub refuses, or is out of reach.
    """
    from huggingface_hub import HfApi

    if offline():
        raise HubError(f"{name}: HF_HUB_OFFLINE is set")
    api = HfApi(library_name=LIBRARY)
    with _hub_errors(name):
        api.create_repo(name.repo, private=private, exist_ok=True)
        if not api.file_exists(name.repo, "README.md", revision=name.revision):
            write_text(folder / "README.md", card)
        else:
            (folder / "README.md").unlink(missing_ok=True)
        done = api.upload_folder(
            repo_id=name.repo,
            folder_path=folder,
            revision=name.revision,
            commit_message=message or f"Upload with {LIBRARY}",
            delete_patterns=list(replaced),
        )
    return done.oid


@contextmanager
def _hub_errors(name: HubName) -> Iterator[None]:
    """Make one line of whatever goes wrong on the way to the Hub and back."""
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        LocalTokenNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        yield
    except RepositoryNotFoundError as error:
        raise HubError(
            f"{name}: no such repository, or it may not be read without a token (hf auth login)"
        ) from error
    except RevisionNotFoundError as error:
        raise HubError(f"{name}: the repository has no such revision") from error
    except LocalTokenNotFoundError as error:
        raise HubError(f"{name}: no token; log in with: hf auth login") from error
    except HfHubHTTPError as error:
        status = getattr(error.response, "status_code", None)
        if status in (401, 403):
            raise HubError(f"{name}: the Hub refuses ({status}); log in with: hf auth login") from error
        raise HubError(f"{name}: {_line(error)}") from error
    except HFValidationError as error:
        raise HubError(f"{name}: {_line(error)}") from error
    except Exception as error:
        if _of_the_network(error):
            raise HubError(f"{name}: the Hub is out of reach ({_line(error)})") from error
        if isinstance(error, SpladeEngineError | OSError | MemoryError):
            raise
        # the client trusts what a server says: anything may come of an answer that is none
        raise HubError(f"{name}: the Hub's answer cannot be read ({_line(error)})") from error


def _of_the_network(error: Exception) -> bool:
    """Whether it is an error of a connection; its library depends on the release of the Hub's client."""
    kinds = {f"{kind.__module__.partition('.')[0]}.{kind.__name__}" for kind in type(error).__mro__}
    return isinstance(error, ConnectionError | TimeoutError) or any(
        kind in kinds
        for kind in (
            "httpx.TransportError",
            "httpx2.TransportError",
            "requests.RequestException",
            "huggingface_hub.LocalEntryNotFoundError",
            "huggingface_hub.OfflineModeIsEnabled",
        )
    )


def _line(error: Exception) -> str:
    return shortened(one_line((str(error).strip().splitlines() or [type(error).__name__])[0]), 300)
