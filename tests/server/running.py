"""An application on a port of loopback, in a thread."""

from __future__ import annotations

import socket
import threading
import time

import uvicorn


class Running:
    """An application on a port of loopback, in a thread."""

    def __init__(self, app, http="auto"):
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}/"
        options = {"log_config": None, "lifespan": "on", "ws": "none", "timeout_graceful_shutdown": 2}
        config = uvicorn.Config(app, http=http, **options)
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.socket]})
        self.thread.start()
        while not self.server.started:
            time.sleep(0.01)

    def stop(self):
        self.server.should_exit = True
        self.thread.join()
        self.socket.close()
