"""`Problem`: what a request gets that cannot be answered. One JSON shape for every error, never a traceback.

    {"error": "k: at most 1000, got 5000", "error_type": "Validation", "request_id": "..."}

`error` and `error_type` are those of text-embeddings-inference, so that its clients understand them.
"""

from __future__ import annotations

import json
from typing import Literal

from splade_engine.errors import (
    DatasetError,
    IndexLockedError,
    InvalidInputError,
    ShardUnavailableError,
    SpladeEngineError,
)
from splade_engine.plain_text import shortened, whole, without_controls

ErrorType = Literal[
    "Empty", "Validation", "Tokenizer", "Backend", "Overloaded", "Timeout", "Unauthorized", "NotFound"
]


LONGEST = 1000  # characters of a message


class Problem(Exception):
    """A request that cannot be answered."""

    def __init__(
        self, status: int, error_type: ErrorType, message: str, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.error_type = error_type
        self.message = message
        self.headers = headers or {}

    def json(self, request_id: str) -> bytes:
        """What the client gets."""
        # a message may hold what the client sent, and a client prints it
        told = shortened(without_controls(self.message).replace("\n", " "), LONGEST)
        body = {"error": told, "error_type": self.error_type, "request_id": request_id}
        return whole(json.dumps(body, ensure_ascii=False)).encode()


def invalid(message: str) -> Problem:
    """422: understood, and not acceptable."""
    return Problem(422, "Validation", message)


def too_large(message: str) -> Problem:
    """413: above a limit."""
    return Problem(413, "Validation", message)


def not_found(message: str) -> Problem:
    """404: no such document, index or route."""
    return Problem(404, "NotFound", message)


def overloaded(message: str) -> Problem:
    """429: full; the client may come again."""
    return Problem(429, "Overloaded", message, {"retry-after": "1"})


def too_slow(message: str) -> Problem:
    """408: above the limit on time."""
    return Problem(408, "Timeout", message)


def broken() -> Problem:
    """500: our fault. The client learns no more than that; the log has the traceback."""
    return Problem(500, "Backend", "an error of the server; its log tells more")


def stopping() -> Problem:
    """503: the server ends before the request has."""
    return Problem(503, "Backend", "the server stops; look whether a change was made before asking again")


def of_error(error: SpladeEngineError, hidden: str, name: str) -> Problem:
    """What a client is told of an error of the engine.

    Args:
        error: as it was raised.
        hidden: the folder of the index, which a client has no business to know.
        name: the index's name, put in its place.
    """
    message = " ".join(str(error).replace(hidden, name).split())
    if isinstance(error, DatasetError) or type(error) is InvalidInputError:
        return invalid(message)  # the others are of what the server serves: no client is to blame
    if isinstance(error, IndexLockedError):
        busy = f"{name}: another process is changing the index"
        return Problem(409, "Overloaded", busy, {"retry-after": "1"})
    if isinstance(error, ShardUnavailableError):
        return Problem(503, "Backend", message, {"retry-after": "1"})
    return Problem(500, "Backend", f"{name}: the index could not be read or written; the log says why")
