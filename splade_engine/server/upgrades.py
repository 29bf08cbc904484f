"""Requests that offer another protocol, such as HTTP/2: the offer is left out, and they are answered.

Java's HttpClient and `curl --http2` send `Upgrade: h2c` with the first request of a connection. A server may
pass that over (RFC 9110, 7.8). But httptools takes whatever stands behind such a head for the other protocol:
the body would be lost.
"""

from __future__ import annotations

_NAME = b"upgrade:"


class Offers:
    """Leaves lines `Upgrade: ...` out of heads, however these are cut into pieces.

    No line of JSON begins so, and a body that comes in one piece with its head stays as it is.
    """

    def __init__(self) -> None:
        self._held = b""  # of the last line, where that may be an offer
        self._begins = False  # whether a line begins with the next piece

    def without(self, piece: bytes) -> bytes:
        """What is handed on of a piece, and of what was held back of the one before."""
        *lines, last = (self._held + piece).split(b"\n")
        begins = self._begins
        kept = []
        for line in lines:
            if not (begins and line[: len(_NAME)].lower() == _NAME):
                kept.append(line)
            begins = True
        self._held = last if begins and last and _NAME.startswith(last[: len(_NAME)].lower()) else b""
        self._begins = begins and last == self._held
        return b"\n".join([*kept, b"" if self._held else last])
