"""What can be chosen about a server, each default with its reason, and the key that opens it."""

from __future__ import annotations

import hmac
import ipaddress
import re
from dataclasses import dataclass, field
from pathlib import Path

from splade_engine.arguments import MOST, check_many, flag, real, shown, whole
from splade_engine.engine.rerank import Rerank
from splade_engine.errors import InvalidInputError
from splade_engine.files import read_text
from splade_engine.index.arguments import default_threads

_LARGEST_KEYS = 1 << 20  # bytes of a file of keys
MIN_KEY_LENGTH = 16  # characters: 96 bits where each is one of 64, which nobody guesses over a network
_LOOPBACK_NAMES = ("localhost",)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one request may ask for, and how many requests there may be. Beyond is a clear 4xx."""

    # bytes of a request's body; 413 beyond. A query is at most some kilobytes.
    body: int = 1 << 20
    # bytes of a body with documents: some thousand passages, which one commit takes in well
    document_body: int = 32 << 20
    # hits per query; beyond, paging through a ranking is an export
    k: int = 1000
    # queries or texts per request; text-embeddings-inference's own default
    batch: int = 32
    # documents per request, put, read or deleted
    documents: int = 10_000
    # characters of a query: four times what any encoder here reads
    query_length: int = 8192
    # for a search, and for the arrival of a body; 408 beyond. `serve` takes its own for heads and for reading
    seconds: float = 10.0
    # queries that are worked on at a time: kernels release the GIL, more than cores only compete
    threads: int = field(default_factory=default_threads)
    # requests that may wait for a thread; 429 beyond
    waiting: int = 256
    # tokens of text that wait to be encoded or written; 429 beyond
    waiting_tokens: int = 1 << 22
    # tokens that are encoded together: requests that wait are joined up to so many
    batch_tokens: int = 1 << 14

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not 0 < value <= MOST or (name != "seconds" and not isinstance(value, int)):
                raise InvalidInputError(f"limit {name}: must be above 0, got {shown(value)}")


_HOST = re.compile(r"[a-z0-9_.-]+|\[[0-9a-f:.]+\]", re.IGNORECASE)
# a browser sends no path and no slash behind it
_ORIGIN = re.compile(rf"[a-z][a-z0-9+.-]*://(?:{_HOST.pattern})(?::[0-9]{{1,5}})?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Access:
    """Who may ask what."""

    # any of these opens the server; none: everybody who reaches it may ask
    keys: tuple[str, ...] = field(default=(), repr=False)
    # whether documents may be put and deleted
    write: bool = False
    # origins whose pages may call the server from a browser ("https://example.org"), "*" for all
    cors: tuple[str, ...] = ()
    # names in the Host header besides loopback's. Checked where there is no key: a foreign page that makes
    # its own name point to 127.0.0.1 (DNS rebinding) would otherwise read the index through a browser.
    hosts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.keys, list | tuple | set | frozenset):  # any letter of one key would open
            kind = type(self.keys).__name__  # a key is never shown
            raise InvalidInputError(f"keys: a list of strings is expected, got {kind}")
        for name in ("keys", "cors", "hosts"):
            check_many(name, getattr(self, name), ordered=False)
            object.__setattr__(self, name, tuple(getattr(self, name)))
        flag("write", self.write)
        if not all(isinstance(key, str) and len(key) >= MIN_KEY_LENGTH for key in self.keys):
            raise InvalidInputError(f"keys: strings of at least {MIN_KEY_LENGTH} characters are expected")
        for origin in self.cors:
            if origin != "*" and not (isinstance(origin, str) and _ORIGIN.fullmatch(origin)):
                raise InvalidInputError(
                    f"cors: an origin like https://example.org is expected, got {shown(origin)}"
                )
        for name in self.hosts:
            if not isinstance(name, str) or not _HOST.fullmatch(name):
                raise InvalidInputError(f"hosts: the name of a host is expected, got {shown(name)}")

    def opens(self, given: str | None) -> bool:
        """Whether a key is one of ours, compared in constant time."""
        if not self.keys:
            return True
        if given is None:
            return False
        data = given.encode("utf-8", "surrogateescape")
        return any([hmac.compare_digest(data, key.encode()) for key in self.keys])

    def knows_host(self, header: str) -> bool:
        """Whether a Host header names this server; with a key every name will do."""
        if self.keys:
            return True
        name = header.rsplit(":", 1)[0] if header.rpartition("]")[2].count(":") else header
        return is_loopback(name) or name.lower() in self.hosts


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything about a server but its indexes."""

    limits: Limits = field(default_factory=Limits)
    access: Access = field(default_factory=Access)
    # seconds between two looks at whether an index has a new generation
    poll: float = 0.5
    # whether agents are served at /mcp
    mcp: bool = True
    # processes that serve the same indexes at the same address, this one included
    workers: int = 1
    # what scores the best hits anew for requests that ask for it; None: nothing, and they are refused
    rerank: Rerank | None = None

    def __post_init__(self) -> None:
        for name, kind in (("limits", Limits), ("access", Access)):
            if not isinstance(getattr(self, name), kind):
                given = shown(getattr(self, name))
                raise InvalidInputError(f"{name}: {kind.__name__} is expected, got {given}")
        real("poll", self.poll, 1e-3, 86_400)
        flag("mcp", self.mcp)
        whole("workers", self.workers, 1)


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, as seen from itself alone."""
    name = host.strip("[]").lower()
    if name in _LOOPBACK_NAMES:
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def read_keys(path: Path) -> tuple[str, ...]:
    """The keys in a file, one a line; several, so that a new one can be handed out before the old one ends.

    Raises:
        InvalidInputError: the file is no text, holds no key, or a weak one.
        StorageError: it cannot be read.
    """
    lines = read_text(path, most=_LARGEST_KEYS).splitlines()
    keys = []
    for number, line in enumerate(lines, start=1):
        key = line.strip()
        if not key or key.startswith("#"):
            continue
        if len(key) < MIN_KEY_LENGTH or not key.isascii() or not key.isprintable() or " " in key:
            rule = f"a key is at least {MIN_KEY_LENGTH} printable ASCII characters without spaces"
            raise InvalidInputError(f"{path}:{number}: {rule}")
        keys.append(key)
    if not keys:
        raise InvalidInputError(f"{path}: holds no key")
    return tuple(keys)


def check_exposure(host: str, access: Access) -> None:
    """Refuse to be reachable from other machines without a key.

    Raises:
        InvalidInputError: naming the option to give.
    """
    if not is_loopback(host) and not access.keys:
        raise InvalidInputError(f"host {host}: can be reached from other machines; give --api-key-file")
