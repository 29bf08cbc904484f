"""A small invented collection, and an encoder of words that needs no model."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from shutil import which
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from splade_engine.vectors import SparseVectors
from tests.tiny_bert import SPECIAL

DOCUMENTS = {
    "tea": ("Green tea", "leaves of green tea are steamed and dried before they brown"),
    "coffee": ("Coffee", "beans of coffee are roasted until they brown and ground before brewing"),
    "bridge": ("Rope bridge", "the rope bridge over the gorge sways when the wind blows"),
    "wind": ("", "a strong wind blows over the gorge in the evening"),
    "clock": ("Tower clock", "the clock of the tower strikes every hour, also at night"),
    "owl": ("", "an owl hunts at night and rests by day in the old tower"),
    "bread": ("Bread", "bread rises in a warm place for an hour before it is baked"),
    "oven": ("", "the oven must be hot before bread is baked in it"),
}
QUERIES = {
    "q1": "how is green tea dried",
    "q2": "bridge in the wind",
    "q3": "what strikes at night in the tower",
    "q4": "baked bread",
    "q5": "zzz qqq",
    "q6": "roasted beans",
}
QRELS = {
    "q1": {"tea": 2, "coffee": 0},
    "q2": {"bridge": 2, "wind": 1},
    "q3": {"clock": 1, "owl": 1},
    "q4": {"bread": 1, "oven": 2},
    "q5": {"owl": 1},
}


def words_of(*texts: str) -> set[str]:
    """Lower-case words, each once."""
    return {word for text in texts for word in re.findall(r"\w+", text.lower())}


class WordEncoder:
    """Bag of words over a hashed vocabulary of 4,096 terms; weights 1 for documents and queries."""

    n_terms = 4096
    max_length = 512

    def __init__(self, name: str = "words", weight: float = 1.0) -> None:
        self.name = name
        self.weight = weight
        self.query_table = np.full(self.n_terms, weight, np.float32)
        self.encoded = 0

    @property
    def vocabulary(self) -> list[str]:
        return [f"t{i}" for i in range(self.n_terms)]

    def _encode(self, texts: Sequence[str]) -> SparseVectors:
        rows = [{zlib.crc32(w.encode()) % self.n_terms: self.weight for w in words_of(t)} for t in texts]
        return SparseVectors.from_dicts(rows, self.n_terms)

    def encode_documents(self, texts: Sequence[str], **options: object) -> SparseVectors:
        self.encoded += len(texts)
        return self._encode(texts)

    def encode_queries(self, texts: Sequence[str], **options: object) -> SparseVectors:
        return self._encode(texts)

    def fingerprint(self) -> dict[str, str | int]:
        return {"name": self.name, "hash": f"words-{self.weight}", "n_terms": self.n_terms}

    def __str__(self) -> str:
        return self.name


def write_collection(
    folder: Path,
    documents: dict[str, tuple[str, str]] = DOCUMENTS,
    queries: dict[str, str] = QUERIES,
    qrels: dict[str, dict[str, dict[str, int]]] | None = None,
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"_id": i, "title": t, "text": x}) for i, (t, x) in documents.items()]
    (folder / "corpus.jsonl").write_text("\n".join(lines) + "\n")
    lines = [json.dumps({"_id": i, "text": x}) for i, x in queries.items()]
    (folder / "queries.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "qrels").mkdir(exist_ok=True)
    for split, judged in (qrels or {"test": QRELS}).items():
        rows = [f"{q}\t{d}\t{g}" for q, grades in judged.items() for d, g in grades.items()]
        text = "\n".join(["query-id\tcorpus-id\tscore", *rows]) + "\n"
        (folder / "qrels" / f"{split}.tsv").write_text(text)
    return folder


@pytest.fixture
def invented() -> SimpleNamespace:
    """What test modules need of this file (they cannot import it)."""
    return SimpleNamespace(
        write=write_collection,
        documents=DOCUMENTS,
        queries=QUERIES,
        qrels=QRELS,
        vocabulary=[*SPECIAL, *sorted(words_of(*(text for pair in DOCUMENTS.values() for text in pair)))],
        WordEncoder=WordEncoder,
    )


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    return write_collection(tmp_path / "invented")


@pytest.fixture
def encoder() -> WordEncoder:
    return WordEncoder()


@pytest.fixture
def shared_ir(shared_data: Path) -> Path:
    """The folder of real test collections."""
    return shared_data / "ir"


class Browser:
    """Headless Chromium through its debugging pipe: messages are JSON, ended by a zero byte."""

    def __init__(self, program: str, profile: Path) -> None:
        to_browser, self._out = os.pipe()
        self._in, from_browser = os.pipe()
        # the program reads commands from descriptor 3 and answers on descriptor 4
        command = f'exec "$0" "$@" 3<&{to_browser} 4>&{from_browser}'
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe"]
        self._process = subprocess.Popen(
            ["bash", "-c", command, program, *options, f"--user-data-dir={profile}", "about:blank"],
            pass_fds=(to_browser, from_browser),
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        self._number, self._buffer = 0, b""
        target = self._send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]

    def _send(self, method: str, session: str = "", **parameters: object) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            while b"\0" not in self._buffer:
                piece = os.read(self._in, 1 << 16)
                if not piece:
                    raise RuntimeError("the browser has gone")
                self._buffer += piece
            text, _, self._buffer = self._buffer.partition(b"\0")
            answer = json.loads(text)
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(answer["error"])
                return answer["result"]

    def open(self, page: Path, width: int, height: int = 900) -> None:
        """Load a page in a window of that size and wait until its script has run."""
        self._send(
            "Emulation.setDeviceMetricsOverride",
            self._session,
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        self._send("Page.navigate", self._session, url=page.as_uri())
        for _ in range(200):
            if self.run("document.readyState") == "complete":
                return
            time.sleep(0.02)
        raise RuntimeError("the page was not loaded within four seconds")

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression in the page."""
        answer = self._send("Runtime.evaluate", self._session, expression=script, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"]["exception"]["description"])
        return answer["result"].get("value")

    def close(self) -> None:
        """End the browser."""
        self._send("Browser.close")
        self._process.wait(10)
        os.close(self._in)
        os.close(self._out)


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    """Chromium; the test is skipped, with the reason, where there is none."""
    program = next(
        (p for name in ("chromium", "chromium-browser", "google-chrome") if (p := which(name))), None
    )
    if program is None:
        pytest.skip("no chromium or google-chrome on the PATH")
    found = Browser(program, tmp_path / "profile")
    yield found
    found.close()
