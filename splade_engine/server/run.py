"""`serve`: an application on a socket, until it is told to stop."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import uvicorn

from splade_engine.errors import InvalidInputError
from splade_engine.server.settings import Access, check_exposure

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp

GRACE = 30  # seconds that requests which run have to end once the server is told to stop


def serve(
    app: ASGIApp,
    access: Access,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    root_path: str = "",
    on_start: Callable[[str], None] = lambda address: None,
) -> None:
    """Answer until SIGTERM or Ctrl-C; then finish what runs.

    Args:
        app: made by `create_app`.
        access: of its settings: without a key only loopback is bound.
        host: name or address.
        port: 0 takes a free one.
        root_path: what a proxy has cut off the path.
        on_start: is told the address once the socket listens.

    Raises:
        InvalidInputError: the address cannot be bound, or is open to others without a key.
    """
    check_exposure(host, access)
    bound = _bind(host, port)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        root_path=root_path,
        lifespan="on",
        ws="none",
        timeout_graceful_shutdown=GRACE,
    )
    on_start(_address(bound))
    with _stopping_is_success():
        uvicorn.Server(config).run(sockets=[bound])


@contextmanager
def _stopping_is_success() -> Iterator[None]:
    """Keep uvicorn from ending the process as if it had been killed.

    When all is done it raises once more the signal that stopped it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _bind(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.listen(2048)
    except (OSError, OverflowError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InvalidInputError(f"{host}:{port}: {reason}") from None
    return bound


def _address(bound: socket.socket) -> str:
    host, port = bound.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
