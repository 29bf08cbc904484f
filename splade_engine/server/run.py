"""`serve`: an application on a socket, until it is told to stop; in one process or in several."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess
from uvicorn.supervisors.multiprocess import SIGNALS

from splade_engine.errors import InvalidInputError, SpladeEngineError
from splade_engine.parents import end_with_parent
from splade_engine.server.connections import BoundedConnections
from splade_engine.server.settings import Access, check_exposure

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from starlette.types import ASGIApp

logger = logging.getLogger(__name__)
# what a terminal sends to all of its processes, the workers too; Windows has no SIGHUP
_FOR_ALL = tuple(getattr(signal, name) for name in ("SIGINT", "SIGHUP") if hasattr(signal, name))
GRACE = 30  # seconds that requests which run have to end once the server is told to stop
_OPTIONS: dict[str, Any] = {
    "log_config": None,
    "access_log": False,
    "server_header": False,
    "proxy_headers": False,
    "lifespan": "on",
    "ws": "none",
    "timeout_graceful_shutdown": GRACE,
    # after so long without a sign a worker is killed: one that starts from a cold disk gives none in 5 s
    "timeout_worker_healthcheck": GRACE,
}


def serve(
    app: ASGIApp,
    access: Access,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    root_path: str = "",
    seconds: float = 10.0,
    on_start: Callable[[str], None] = lambda address: None,
) -> None:
    """Answer until SIGTERM, SIGHUP or Ctrl-C; then finish what runs.

    A Ctrl-C while it finishes does what it did before: by Python's own handler it is a KeyboardInterrupt.

    Args:
        app: made by `create_app`.
        access: of its settings: without a key only loopback is bound.
        host: name or address.
        port: 0 takes a free one.
        root_path: what a proxy has cut off the path.
        seconds: within which the head of a request has to arrive, and a client to read some of its answer.
        on_start: is told the address once the socket listens.

    Raises:
        InvalidInputError: the address cannot be bound, or is open to others without a key.
    """
    check_exposure(host, access)
    bound = _bind(host, port)
    # one: by default uvicorn reads WEB_CONCURRENCY, which may be set for another program
    config = uvicorn.Config(app, workers=1, root_path=root_path, http=_bounded(seconds), **_OPTIONS)
    server = _Server(config)
    with _stopped_by_signals(server.stop):
        on_start(_address(bound))
        server.run(sockets=[bound])


def serve_in_processes(
    make: Callable[[], ASGIApp],
    access: Access,
    *,
    workers: int,
    host: str = "127.0.0.1",
    port: int = 8000,
    root_path: str = "",
    seconds: float = 10.0,
    on_start: Callable[[str], None] = lambda address: None,
) -> None:
    """As `serve`, by several processes at one address; one that dies is replaced.

    Args:
        make: makes the application in each process, with `Settings.workers` as here. It is pickled, and the
            processes are started anew rather than forked: torch hangs in a forked one.
        access: of its settings: without a key only loopback is bound.
        workers: how many processes, besides this one, which only watches them.
        host: name or address.
        port: 0 takes a free one.
        root_path: what a proxy has cut off the path.
        seconds: within which the head of a request has to arrive, and a client to read some of its answer.
        on_start: is told the address once the socket listens.

    Raises:
        InvalidInputError: the address cannot be bound, or is open to others without a key.
        SpladeEngineError: a process could not make the application; it has logged why.
    """
    check_exposure(host, access)
    bound = _bind(host, port)
    made: dict[str, Any] = {"factory": True, "workers": workers, "root_path": root_path}
    config = uvicorn.Config(_Made(make), http=_bounded(seconds), **made, **_OPTIONS)
    with tempfile.TemporaryDirectory(prefix="splade-engine-") as counts:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = counts  # see `Metrics`
        try:
            supervisor = _Supervisor(config, sockets=[bound])
            with _stopped_by_signals(supervisor.should_exit.set, supervisor.kill_all):
                on_start(_address(bound))
                supervisor.run()
        finally:
            del os.environ["PROMETHEUS_MULTIPROC_DIR"]
    if any(process.exitcode == STARTUP_FAILURE for process in supervisor.processes):
        raise SpladeEngineError("a worker could not start; its line in the log says why")


class _Server(uvicorn.Server):
    """Leaves signals to `_stopped_by_signals`: uvicorn raises them once more when all is done."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield

    def stop(self) -> None:
        """Begin to finish what runs."""
        self.should_exit = True


class _Supervisor(Multiprocess):
    """Starts and replaces the workers, and says which it had to replace: uvicorn keeps that to itself.

    Leaves signals to `_stopped_by_signals`: uvicorn starts the workers anew where the terminal was closed,
    ends one where a job in the background writes to it, and passes over SIGQUIT.
    """

    def __init__(self, config: uvicorn.Config, sockets: list[socket.socket]) -> None:
        before = {number: signal.getsignal(number) for number in SIGNALS}
        super().__init__(config, sockets)
        for number, handler in before.items():
            signal.signal(number, handler)

    def init_processes(self) -> None:
        held_back = getattr(signal, "pthread_sigmask", None)  # Windows has none
        if held_back is None:
            super().init_processes()
            return
        # a worker inherits it: at a terminal, one that still imports would end with a traceback. The tracker,
        # which comes with the first process, would let SIGINT through again
        resource_tracker.ensure_running()
        before = held_back(signal.SIG_BLOCK, _FOR_ALL)
        try:
            super().init_processes()
        finally:
            held_back(signal.SIG_SETMASK, before)

    def kill_all(self) -> None:
        """End the workers at once."""
        for process in self.processes:
            process.kill()

    def keep_subprocess_alive(self) -> None:
        before = list(self.processes)
        super().keep_subprocess_alive()
        for gone, new in zip(before, self.processes, strict=True):
            if new is not gone:
                told = "worker %s ended or was silent for %d seconds (exit code %s); worker %s replaces it"
                logger.warning(told, gone.pid, GRACE, gone.exitcode, new.pid)


def _bounded(seconds: float) -> Any:
    """What uvicorn asks for is a class; all that it does with one is to call it."""
    return BoundedConnections(seconds)


@dataclass(frozen=True, slots=True)
class _Made:
    """An application's factory, whose errors are one line in the log of the process that meets them."""

    make: Callable[[], ASGIApp]

    def __call__(self) -> ASGIApp:
        end_with_parent(partial(os.kill, os.getpid(), signal.SIGTERM))  # requests that run are answered
        for number in _FOR_ALL:  # the process that watches gets it too, and says when to stop
            signal.signal(number, signal.SIG_IGN)
        try:
            return self.make()
        except SpladeEngineError as error:
            logger.error("%s", error)
            sys.exit(STARTUP_FAILURE)


@contextmanager
def _stopped_by_signals(stop: Callable[[], None], kill: Callable[[], None] = lambda: None) -> Generator[None]:
    """Stop at SIGTERM, SIGHUP or Ctrl-C; a Ctrl-C after that is for who handled it before.

    Args:
        stop: begins to stop.
        kill: ends at once what would outlast this process.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    stopping = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal stopping
        if stopping and number == signal.SIGINT:  # service managers send SIGHUP behind SIGTERM
            kill()
            signal.signal(number, before[number])
            signal.raise_signal(number)
        stopping = True
        stop()

    ending = {signal.SIGTERM, *_FOR_ALL}
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:  # as nohup has it
        ending.remove(signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in ending}
    for number in ending:
        signal.signal(number, handle)
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
    except UnicodeError:  # of the codec of names beyond ASCII, which has no words for people
        raise InvalidInputError(f"{host}: not the name of a host") from None
    except (OSError, OverflowError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InvalidInputError(f"{host}:{port}: {reason}") from None
    return bound


def _address(bound: socket.socket) -> str:
    host, port = bound.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
