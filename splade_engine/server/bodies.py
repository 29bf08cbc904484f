"""Bodies in and out: read within limits, checked by a model; written as JSON that every parser reads."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from splade_engine.errors import reason_of
from splade_engine.files import finite, parsed_json
from splade_engine.plain_text import whole
from splade_engine.server.problems import Problem, invalid, too_large, too_slow
from splade_engine.server.requests import Request as RequestModel

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Model = TypeVar("Model", bound=RequestModel)


async def read(request: Request, model: type[Model], limit: int, seconds: float) -> Model:
    """The body of a request as a model.

    Raises:
        Problem: 415 or 501 for another type than JSON or for what is compressed, 413 above `limit` bytes, 408
            after `seconds`, 400 for what is not JSON, 422 for what the model refuses.
    """
    check_kind(request)
    value = parsed(await received(request, limit, seconds))
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise invalid(told_of(error)) from None


def parsed(data: bytes, what: str = "the body") -> Any:
    """The value of a body that is JSON, or of a message called `what`.

    Raises:
        Problem: 400 for what is not, or means two things.
    """
    try:
        return parsed_json(data, _refuse_constant)
    except RecursionError:
        raise Problem(400, "Validation", f"{what} is JSON nested too deeply") from None
    except json.JSONDecodeError as error:
        raise Problem(400, "Validation", f"{what} is not JSON: {error}") from None
    except UnicodeDecodeError as error:
        place = f"the byte 0x{error.object[error.start]:02x} at {error.start}"
        raise Problem(
            400,
            "Validation",
            f"{what} is not UTF-8 ({place}), which JSON is sent in whatever Content-Type says",
        ) from None
    except ValueError as error:  # a key twice, NaN, or a number of thousands of digits
        raise Problem(400, "Validation", f"{what} cannot be read: {reason_of(error)}") from None


def check_kind(request: Request) -> None:
    """Refuse a body that is not sent as plain JSON.

    Raises:
        Problem: 415, or 501 for what is compressed on its way alone.
    """
    ways = ",".join(request.headers.getlist("transfer-encoding")).lower().split(",")
    packed = [way.strip() for way in ways if way.strip() not in ("", "chunked", "identity")]
    if packed:  # uvicorn's parsers look at the last of them
        message = f"the body is sent with Transfer-Encoding {packed[0]!r:.40}; send it as it is"
        raise Problem(501, "Validation", message)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":  # other types may be sent by a foreign page without asking us first
        raise Problem(415, "Validation", "the body must be JSON (Content-Type: application/json)")
    coding = request.headers.get("content-encoding", "").strip().lower()
    if coding not in ("", "identity"):  # a small body may unpack to a large one
        headers = {"accept-encoding": "identity"}
        raise Problem(415, "Validation", f"the body is sent as {coding!r:.40}; send it as it is", headers)


async def received(request: Request, limit: int, seconds: float) -> bytes:
    """The body of a request as it was sent.

    Raises:
        Problem: 413 above `limit` bytes, 408 after `seconds`, 400 if the connection is closed before.
    """
    try:
        async with asyncio.timeout(seconds):
            return await _bytes(request, limit)
    except TimeoutError:
        raise too_slow(f"the body did not arrive within {seconds:g} seconds") from None
    except ClientDisconnect:
        raise Problem(400, "Validation", "the connection was closed before the body was complete") from None


async def _bytes(request: Request, limit: int) -> bytes:
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > limit:
        raise too_large(f"the body has {announced} bytes, at most {limit} are accepted")
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise too_large(f"the body has more than {limit} bytes")
        parts.append(part)
    return b"".join(parts)


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


def told_of(error: ValidationError) -> str:
    """The first things that do not hold, in one line; never the values, which may be long."""
    told: dict[str, list[str]] = {}
    mistyped: dict[str, list[str]] = {}
    for problem in error.errors(include_url=False, include_context=False, include_input=False):
        # a field that may be of several types is reported once per type, with the type in its place
        place = ".".join(str(part) for part in problem["loc"] if not _is_type(str(part)))
        message = problem["msg"].removeprefix("Value error, ")
        if problem["type"] in ("model_type", "model_attributes_type", "dict_type"):  # told in words of Python
            message = "input should be an object"
        kind = mistyped if problem["type"] in ("string_type", "list_type", "dict_type") else told
        kind.setdefault(place, []).append(message[0].lower() + message[1:])
    told = {**mistyped, **told}  # where a value has one of the types, what is said of the others is noise
    lines = [f"{place}: {' or '.join(dict.fromkeys(what))}" for place, what in told.items()]
    return "; ".join(line.removeprefix(": ") for line in lines[:3])


def _is_type(place: str) -> bool:
    return place in ("str", "constrained-str", "bool") or "[" in place


def answer(value: Mapping[str, Any] | Sequence[Any], status: int = 200) -> Response:
    """JSON; numbers that JSON does not have become null, halves of surrogate pairs U+FFFD."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except ValueError:
        text = json.dumps(finite(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Response(whole(text).encode(), status, media_type="application/json")
