"""ONNX folders: the vectors of float32 without torch, and one line where a kind cannot be exported."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

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


def graph(
    value: float = 1.0,
    rows: int | None = None,
    columns: int | None = None,
    kind: str = "FLOAT",
    said: tuple[Any, ...] | None = None,
    inputs: tuple[str, ...] = ("input_ids", "attention_mask"),
    input_kind: str = "INT64",
    outputs: int = 1,
    loops: int = 1,
    elsewhere: str | None = None,
) -> Callable[[int], bytes]:
    """A graph that gives `value` for every term, and what may be wrong with it."""
    from onnx import GraphProto, TensorProto, helper, numpy_helper

    def made(n_terms: int) -> bytes:
        value_info, node = helper.make_tensor_value_info, helper.make_node
        filled = numpy_helper.from_array(np.array([value], np.float32))
        constants = {
            "none": np.zeros(1, np.int64),
            "n_terms": np.array([columns or n_terms], np.int64),
            "fixed": np.array([rows or 1], np.int64),
            "loops": np.array(loops, np.int64),
            "go_on": np.array(True),
        }
        tensors = [numpy_helper.from_array(array, name) for name, array in constants.items()]
        nodes = [
            node("Shape", [inputs[0]], ["shape"]),
            node("Gather", ["shape", "none"], ["texts"], axis=0),
            node("Concat", ["fixed" if rows else "texts", "n_terms"], ["size"], axis=0),
            node("ConstantOfShape", ["size"], ["filled"], value=filled),
        ]
        if elsewhere is not None:
            stored = TensorProto(name="stored", data_type=TensorProto.FLOAT, dims=[1, n_terms])
            stored.data_location = TensorProto.EXTERNAL
            stored.external_data.add(key="location", value=elsewhere)
            tensors.append(stored)
            nodes[3:] = [node("Expand", ["stored", "size"], ["filled"])]
        body = GraphProto(name="body")
        body.node.extend([node("Identity", [a], [b]) for a, b in (("go", "gone"), ("one", "next"))])
        body.input.append(value_info("step", TensorProto.INT64, []))
        for part, names in ((body.input, ("go", "one")), (body.output, ("gone", "next"))):
            part.append(value_info(names[0], TensorProto.BOOL, []))
            part.append(value_info(names[1], TensorProto.FLOAT, None))
        nodes.append(node("Loop", ["loops", "go_on", "filled"], ["looped"], body=body))
        names = [f"weights{i}" for i in range(outputs)]
        nodes += [node("Cast", ["looped"], [name], to=TensorProto.DataType.Value(kind)) for name in names]
        whole = helper.make_graph(
            nodes,
            "weights",
            [value_info(n, TensorProto.DataType.Value(input_kind), ["texts", "tokens"]) for n in inputs],
            [value_info(n, TensorProto.DataType.Value(kind), said or ("texts", n_terms)) for n in names],
            tensors,
        )
        opset = [helper.make_opsetid("", 17)]
        return helper.make_model(whole, opset_imports=opset, ir_version=8).SerializeToString()

    return made


def with_graph(folder: Path, made: Callable[[int], bytes]) -> SparseEncoder:
    """The encoder of an exported folder whose graph is another one."""
    SparseEncoder.load(zoo.make("mlm", folder / "m"), device="cpu").export_onnx(folder / "onnx")
    n_terms = json.loads((folder / "onnx/config.json").read_text())["vocab_size"]
    (folder / "onnx/model.onnx").write_bytes(made(n_terms))
    np.full(n_terms, 7, np.float32).tofile(folder / "onnx/stored.bin")
    return SparseEncoder.load(folder / "onnx")


def test_a_graph_of_somebody_else_is_run(tmp_path: Path) -> None:
    found = with_graph(tmp_path, graph(2.5)).encode_documents(["bado", ""])
    assert set(found.weights.tolist()) == {2.5} and len(found[1].terms) == 0


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (graph(float("nan")), "not finite, or negative"),
        (graph(float("inf")), "not finite, or negative"),
        (graph(-1.0), "not finite, or negative"),
        (graph(columns=7), r"gives \(1, 7\) numbers for 1 texts"),
        (graph(columns=100_000), r"gives \(1, 100000\) numbers for 1 texts"),
        (graph(said=("texts", "terms")), "gives terms terms"),
        (graph(said=("texts", 7)), "gives 7 terms"),
        (graph(said=("texts", 1, 7)), "3.*expected one float32 matrix"),
        (graph(rows=1), r"gives \(1, \d+\) numbers for 2 texts"),
        (graph(kind="DOUBLE"), "double.*expected one float32 matrix"),
        (graph(kind="STRING"), "string.*expected one float32 matrix"),
        (graph(kind="BOOL"), "bool.*expected one float32 matrix"),
        (graph(outputs=2), "expected one float32 matrix"),
        (graph(inputs=("input_ids",)), "expected int64 input_ids and attention_mask"),
        (graph(inputs=("ids", "attention_mask")), "takes 'ids'"),
        (graph(inputs=("input_ids", "attention_mask", "more")), "'more'"),
        (graph(input_kind="INT32"), "int32"),
        (graph(columns=10**12), "cannot be run"),
        # weights in another file, which the fingerprint would not see, or outside the folder
        (graph(elsewhere="stored.bin"), "cannot be run"),
        (graph(elsewhere="../m/model.safetensors"), "cannot be run"),
        (graph(elsewhere="/dev/zero"), "cannot be run"),
    ],
)
def test_a_graph_that_gives_no_weights_is_one_line(
    made: Callable[[int], bytes], message: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    encoder = with_graph(tmp_path, made)
    capfd.readouterr()
    with pytest.raises(CheckpointError, match=message) as error:
        encoder.encode_documents(["bado", "lume"])
    assert "\n" not in str(error.value) and "model.onnx" in str(error.value) and len(str(error.value)) < 900
    assert capfd.readouterr().err == ""  # onnxruntime would tell its own story, in colours


def test_a_graph_that_does_not_end_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("splade_engine.encoder.kinds.onnx.PATIENCE", 0.5)
    encoder = with_graph(tmp_path, graph(loops=10**15))
    with pytest.raises(CheckpointError, match=r"takes more than 0\.5 s for one token: refused"):
        encoder.encode_documents(["bado"])


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


def test_a_folder_for_the_hub_holds_the_graph(tmp_path: Path) -> None:
    """It was left behind, and the encoder could not be pushed, nor be put beside an index."""
    from splade_engine.encoder.sharing import save_whole

    SparseEncoder.load(zoo.make("mlm", tmp_path / "m")).export_onnx(tmp_path / "onnx")
    (tmp_path / "onnx" / "other").mkdir()
    (tmp_path / "onnx" / "other" / "model_O4.onnx").write_bytes(b"another")
    encoder = SparseEncoder.load(tmp_path / "onnx")
    save_whole(encoder, tmp_path / "copy")
    assert SparseEncoder.load(tmp_path / "copy").fingerprint()["hash"] == encoder.fingerprint()["hash"]
    assert [path.name for path in (tmp_path / "copy").rglob("*.onnx")] == ["model.onnx"]
