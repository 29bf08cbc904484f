"""ONNX folders: the vectors of float32 without torch, and one line where a kind cannot be exported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from splade_engine.encoder import SparseEncoder
from splade_engine.errors import CheckpointError, InvalidInputError
from splade_engine.files import read_json, write_json
from tests.encoder import zoo

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

REFUSED = {
    "unicoil": "kind scalar cannot be exported to ONNX",
    "echo": "kind echo cannot be exported to ONNX",
    "st-csr": "kind csr cannot be exported to ONNX",
    "bge-m3": "kind bge-m3 cannot be exported to ONNX",
    "pair": "two models, one a side, cannot be exported to ONNX",
}


def same(a: object, b: object) -> None:
    np.testing.assert_allclose(a.to_scipy().toarray(), b.to_scipy().toarray(), atol=1e-3)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "name", ["mlm", "mlm-roberta", "mlm-electra", "opensearch", "ours", "ours-sum", "compact", "st-ours"]
)
def test_the_vectors_are_those_of_float32(name: str, texts: list[str], tmp_path: Path) -> None:
    encoder = SparseEncoder.load(zoo.make(name, tmp_path / "m"), device="cpu", dtype="float32")
    encoder.export_onnx(tmp_path / "onnx")
    found = SparseEncoder.load(tmp_path / "onnx")
    assert found.checkpoint.kind.name == "onnx"
    many = [*texts, "", " ".join(texts * 4)]
    same(found.encode_documents(many), encoder.encode_documents(many))
    same(found.encode_queries(many), encoder.encode_queries(many))
    assert found.encode_documents(many).nnz > 0
    assert found.checkpoint.settings == encoder.checkpoint.settings
    assert found.inference_free == encoder.inference_free
    assert found.vocabulary == encoder.vocabulary


WITHOUT_TORCH = """
import sys

class Refused:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "transformers", "onnx"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Refused())
from splade_engine.encoder import SparseEncoder
encoder = SparseEncoder.load(sys.argv[1])
texts = sys.argv[2:]
print(encoder.encode_documents(texts).nnz, encoder.encode_queries(texts).nnz)
assert "torch" not in sys.modules
"""


def test_it_runs_without_torch(texts: list[str], tmp_path: Path) -> None:
    encoder = SparseEncoder.load(zoo.make("compact", tmp_path / "m"), device="cpu", dtype="float32")
    encoder.export_onnx(tmp_path / "onnx")
    given = [text for text in texts if text.strip() and "\x00" not in text]
    ran = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, str(tmp_path / "onnx"), *given],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    documents, queries = map(int, ran.stdout.split())
    assert abs(documents - encoder.encode_documents(given).nnz) <= 2  # a weight at the limit may go or come
    assert queries == encoder.encode_queries(given).nnz


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_exported_is_one_line(name: str, tmp_path: Path) -> None:
    encoder = SparseEncoder.load(zoo.make(name, tmp_path / "m"), device="cpu")
    with pytest.raises(CheckpointError, match=REFUSED[name]) as error:
        encoder.export_onnx(tmp_path / "onnx")
    assert "\n" not in str(error.value) and not (tmp_path / "onnx").exists()


def test_an_exported_folder_is_an_encoder_of_its_own(tmp_path: Path) -> None:
    encoder = SparseEncoder.load(zoo.make("mlm", tmp_path / "m"), device="cpu")
    encoder.export_onnx(tmp_path / "a")
    encoder.export_onnx(tmp_path / "b")
    a, b = (SparseEncoder.load(tmp_path / name) for name in "ab")
    assert a.fingerprint()["hash"] == b.fingerprint()["hash"] != encoder.fingerprint()["hash"]
    graph = tmp_path / "b" / "model.onnx"
    graph.write_bytes(graph.read_bytes() + b"\x00")
    assert SparseEncoder.load(tmp_path / "b").fingerprint()["hash"] != a.fingerprint()["hash"]
    with pytest.raises(InvalidInputError, match=r"not empty|exists"):
        encoder.export_onnx(tmp_path / "a")
    encoder.export_onnx(tmp_path / "a", overwrite=True)
    with pytest.raises(CheckpointError, match="kind onnx cannot be exported"):
        a.export_onnx(tmp_path / "c")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: (f / "model.onnx").unlink(), r"model\.onnx"),
        (lambda f: (f / "model.onnx").write_bytes(b"no graph"), "cannot be run"),
        (lambda f: write_json(f / "config.json", {**read_json(f / "config.json"), "vocab_size": 9}), "token"),
    ],
)
def test_a_damaged_folder_is_one_line(change: object, message: str, tmp_path: Path) -> None:
    SparseEncoder.load(zoo.make("mlm", tmp_path / "m"), device="cpu").export_onnx(tmp_path / "onnx")
    change(tmp_path / "onnx")  # type: ignore[operator]
    with pytest.raises(CheckpointError, match=message) as error:
        SparseEncoder.load(tmp_path / "onnx").encode_documents(["bado"])
    assert "\n" not in str(error.value)


def test_devices_and_precisions_that_it_has_not(tmp_path: Path) -> None:
    SparseEncoder.load(zoo.make("mlm", tmp_path / "m"), device="cpu").export_onnx(tmp_path / "onnx")
    with pytest.raises(InvalidInputError, match="this onnxruntime has"):
        SparseEncoder.load(tmp_path / "onnx", device="mps").encode_documents(["bado"])
    with pytest.raises(InvalidInputError, match="computes in float32"):
        SparseEncoder.load(tmp_path / "onnx", dtype="bfloat16").encode_documents(["bado"])


def test_the_command(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from splade_engine.cli import app

    source = str(zoo.make("compact", tmp_path / "m"))
    done = CliRunner().invoke(app, ["onnx", "-o", str(tmp_path / "out"), "-e", source])
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith(f"{tmp_path / 'out'}: ") and "as ONNX" in done.stdout
    again = CliRunner().invoke(app, ["onnx", "-o", str(tmp_path / "out"), "-e", source])
    assert again.exit_code == 2 and "exists already" in again.stderr
    other = str(zoo.make("unicoil", tmp_path / "u"))
    refused = CliRunner().invoke(app, ["onnx", "-o", str(tmp_path / "no"), "-e", other])
    assert refused.exit_code == 2 and "kind scalar cannot be exported to ONNX" in refused.stderr
    assert refused.stderr.count("\n") == 1
