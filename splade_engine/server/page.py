"""The page at `/`: one file without a network, and the policy under which a browser runs it.

Its style and script are named by their hashes in the Content-Security-Policy, so that nothing else on the
page can run, whatever a document holds.
"""

from __future__ import annotations

import base64
import re
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.responses import Response

if TYPE_CHECKING:
    from starlette.requests import Request

FILE = Path(__file__).with_name("page.html")
_BLOCK = {kind: re.compile(f"<{kind}>(.*?)</{kind}>", re.DOTALL) for kind in ("script", "style")}


class Page:
    """The page, read once."""

    def __init__(self, text: str | None = None) -> None:
        text = FILE.read_text(encoding="utf-8") if text is None else text
        self._body = text.encode()
        self._tag = f'"{sha256(self._body).hexdigest()[:32]}"'
        self.policy = "; ".join(
            (
                "default-src 'none'",
                f"script-src {_hashes('script', text)}",
                f"style-src {_hashes('style', text)}",
                "connect-src 'self'",
                "img-src data:",
                "base-uri 'none'",
                "form-action 'none'",
                "frame-ancestors 'none'",
                "require-trusted-types-for 'script'",
            )
        )

    def response(self, request: Request) -> Response:
        """The page, or 304 where the browser has it."""
        headers = {"content-security-policy": self.policy, "etag": self._tag, "cache-control": "no-cache"}
        if request.headers.get("if-none-match") == self._tag:
            return Response(status_code=304, headers=headers)
        return Response(self._body, headers=headers, media_type="text/html")


def _hashes(kind: str, text: str) -> str:
    blocks = _BLOCK[kind].findall(text)
    return " ".join(f"'sha256-{base64.b64encode(sha256(b.encode()).digest()).decode()}'" for b in blocks)
