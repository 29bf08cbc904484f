from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from splade_engine.encoder.checkpoint import Checkpoint, QueryTable
from splade_engine.encoder.folders.modules import dense_modules
from splade_engine.encoder.folders.reading import read_checkpoint
from splade_engine.encoder.kinds import Echo, MaskedLm, Scalar
from splade_engine.encoder.settings import EncoderSettings
from splade_engine.errors import CheckpointError
from splade_engine.files import write_json
from tests.encoder import zoo

BERT = {
    "model_type": "bert",
    "architectures": ["BertForMaskedLM"],
    "vocab_size": 200,
    "max_position_embeddings": 64,
}


def write_model(folder: Path, names: tuple[str, ...] = ("x",), **config: object) -> Path:
    """config.json and a safetensors file with tensors of these names."""
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({**BERT, **config}))
    save_file({name: np.zeros(2, np.float32) for name in names}, folder / "model.safetensors")
    return folder


def test_plain_masked_lm(tmp_path: Path) -> None:
    c = read_checkpoint(write_model(tmp_path / "splade"))
    assert (c.kind, c.settings) == (MaskedLm(), EncoderSettings(max_length=64))
    assert (c.name, c.settings.max_length, c.positions, c.query) == ("splade", 64, 64, None)


V1 = "opensearch-neural-sparse-encoding-doc-v1"
V3 = "opensearch-neural-sparse-encoding-doc-v3-distill"


def opensearch(folder: Path, **config: object) -> Path:
    write_model(folder, **config)
    (folder / "idf.json").write_text("{}")
    return folder


def second_log1p(checkpoint: Checkpoint) -> bool:
    assert checkpoint.settings.special_tokens == "zero"
    table = QueryTable(checkpoint.folder, checkpoint.folder / "idf.json", missing=1.0)
    assert checkpoint.query == table
    return checkpoint.settings.activation == "log1p_log1p_relu"


@pytest.mark.parametrize("name", [V1, V3, "legal-doc-v3", "contracts-doc-v3-2025"])
def test_the_name_of_a_folder_decides_nothing(tmp_path: Path, name: str) -> None:
    assert not second_log1p(read_checkpoint(opensearch(tmp_path / name)))


@pytest.mark.parametrize(
    "hub_id", ["opensearch-project/" + V1, "someone/our-doc-v3", "opensearch-project/" + V3]
)
def test_opensearch_versions_by_hub_id(tmp_path: Path, hub_id: str, caplog: pytest.LogCaptureFixture) -> None:
    """A published checkpoint is known by the id that was asked for, and the log says so."""
    caplog.set_level("INFO")
    found = second_log1p(read_checkpoint(opensearch(tmp_path / "snapshot"), hub_id, hub_id=hub_id))
    assert found == hub_id.endswith(V3)
    assert ("applied twice" if found else "applied once") in caplog.text


def test_opensearch_version_by_its_files(tmp_path: Path) -> None:
    assert second_log1p(read_checkpoint(opensearch(tmp_path / "a", _name_or_path="opensearch-project/" + V3)))
    folder = opensearch(tmp_path / "b")
    readme = folder / "README.md"
    readme.write_text(f"---\nlicense: apache-2.0\n---\n# {V3}\n| doc-v1 | ...\n")
    assert second_log1p(read_checkpoint(folder))
    for title in ("Better than opensearch doc-v3 on our tickets", V3 + " fine-tuned", "doc-v3"):
        readme.write_text(f"# {title}\n")
        assert not second_log1p(read_checkpoint(folder)), title


def test_query_token_weights_of_older_releases(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "doc-v1")
    (folder / "query_token_weights.txt").write_text("hello\t1.5\n")
    assert read_checkpoint(folder).query == QueryTable(
        folder, folder / "query_token_weights.txt", missing=1.0
    )


def test_a_neighbour_by_name_is_no_query_model(tmp_path: Path) -> None:
    write_model(tmp_path / "tickets-doc")
    write_model(tmp_path / "tickets-query", max_position_embeddings=32)
    assert read_checkpoint(tmp_path / "tickets-doc").query is None


def test_a_model_a_side(tmp_path: Path) -> None:
    write_model(tmp_path / "m" / "document")
    write_model(tmp_path / "m" / "query", max_position_embeddings=32)
    c = read_checkpoint(tmp_path / "m")
    assert isinstance(c.query, Checkpoint)
    assert (c.folder, c.query.model_folder) == (tmp_path / "m", tmp_path / "m" / "query")
    assert (c.settings.max_length, c.query.settings.max_length) == (64, 32)


def test_causal_lm_is_echo(tmp_path: Path) -> None:
    c = read_checkpoint(
        write_model(tmp_path / "m", architectures=["MistralForCausalLM"], model_type="mistral")
    )
    assert c.kind == Echo()


@pytest.mark.parametrize(
    ("tensor", "prefix"),
    [
        ("tok_proj.weight", "tok_proj"),
        ("coil_encoder.tok_proj.weight", "coil_encoder.tok_proj"),
        ("impact_score_encoder.0.weight", "impact_score_encoder"),
    ],
)
def test_scalar_heads(tmp_path: Path, tensor: str, prefix: str) -> None:
    c = read_checkpoint(
        write_model(tmp_path / "m", names=("bert.x", tensor), architectures=["UniCoilEncoder"])
    )
    assert (c.kind, c.settings.special_tokens) == (Scalar(prefix), "zero")
    assert isinstance(c.query, QueryTable) == (prefix == "impact_score_encoder")


def test_roberta_loses_two_positions(tmp_path: Path) -> None:
    c = read_checkpoint(
        write_model(
            tmp_path / "m",
            model_type="roberta",
            architectures=["RobertaForMaskedLM"],
            pad_token_id=1,
            max_position_embeddings=514,
        )
    )
    assert c.settings.max_length == 512


def test_tokenizer_limit_rules_unless_unbounded(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m")
    (folder / "tokenizer_config.json").write_text('{"model_max_length": 40}')
    assert read_checkpoint(folder).settings.max_length == 40
    (folder / "tokenizer_config.json").write_text('{"model_max_length": 1000000000000000019884624838656}')
    assert read_checkpoint(folder).settings.max_length == 64


def test_own_section(tmp_path: Path) -> None:
    section = {
        "format": 1,
        "kind": "mlm",
        "pooling": "sum",
        "activation": "log1p_log1p_relu",
        "max_length": 30,
    }
    c = read_checkpoint(write_model(tmp_path / "m", splade_engine=section))
    assert (c.settings.pooling, c.settings.activation, c.settings.max_length) == (
        "sum",
        "log1p_log1p_relu",
        30,
    )


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"format": 2}, "format 2"),
        ({"pooling": "median"}, "median"),
        ({"activation": "tanh"}, "tanh"),
        ({"kind": "dense"}, "dense"),
        ({"speed": 9}, "'speed'"),
        ({"max_length": 2}, "max_length 2"),
        ({"top_k": 0}, "top_k"),
        ({"min_weight": -0.1}, "min_weight"),
        ({"min_weight": "light"}, "'light'"),
        ({"query_weights": "model.safetensors", "query_counts": 1}, "query_counts"),
        ({"query_weights": "model.safetensors", "query_top_k": 0}, "query_top_k"),
        ({"kind": "echo", "echo": "{text}"}, "twice"),
        ({"query_weights": "gone.safetensors"}, "gone.safetensors"),
    ],
)
def test_bad_own_section(tmp_path: Path, section: dict[str, object], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        read_checkpoint(write_model(tmp_path / "m", splade_engine=section))


def test_pickled_weights_are_refused_with_advice(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"pytorch_model\.bin.*convert.*save_pretrained"):
        read_checkpoint(folder)


@pytest.mark.parametrize(
    ("make", "file", "values", "told"),
    [
        ("st-mlm", "1_SpladePooling", {"temperature": 2}, "temperature is 2"),
        ("st-static", "document_1_SpladePooling", {"temperature": 2}, "temperature is 2"),
        (
            "st-csr",
            "1_Pooling",
            {"pooling_mode_weightedmean_tokens": True},
            "pooling_mode_weightedmean_tokens",
        ),
        ("st-csr", "2_Normalize", {"module_input_name": "token_embeddings"}, "module_input_name is 'token_e"),
        ("st-csr", "2_Normalize", {"module_output_name": "other"}, "module_output_name is 'other'"),
        ("st-csr", "3_SparseAutoEncoder", {"jump": 0.5}, "jump is 0.5"),
    ],
)
def test_a_setting_of_a_module_that_is_not_followed(
    tmp_path: Path, make: str, file: str, values: dict[str, object], told: str
) -> None:
    """All of these were passed over, and most make other vectors."""
    folder = zoo.make(make, tmp_path / "m")
    path = folder / file / "config.json"
    write_json(path, {**(json.loads(path.read_text()) if path.exists() else {}), "none": None, "off": False})
    read_checkpoint(folder)
    zoo.edit(path, **values)
    with pytest.raises(CheckpointError, match=f"{file}/config.json: {told}.*not supported"):
        read_checkpoint(folder)


def test_a_dense_model_with_such_a_setting_is_left_to_sentence_transformers(tmp_path: Path) -> None:
    folder = zoo.write_dense(tmp_path / "m", modules=[("Normalize", "2_Normalize")])
    assert dense_modules(folder) is not None
    zoo.write(folder / "2_Normalize" / "config.json", {"module_input_name": "sentence_embedding"})
    assert dense_modules(folder) is not None
    zoo.write(folder / "2_Normalize" / "config.json", {"module_input_name": "token_embeddings"})
    assert dense_modules(folder) is None


def modules(*entries: tuple[str, str]) -> str:
    return json.dumps([{"idx": i, "name": str(i), "path": p, "type": t} for i, (p, t) in enumerate(entries)])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (modules(("", "a.Transformer"), ("1", "a.Dense")), "Transformer.*Dense"),
        (modules(("", "a.SpladePooling")), "do not start with a Transformer"),
        (modules(("../other", "a.Transformer")), "leaves the folder"),
        (modules(("/etc", "a.Transformer")), "leaves the folder"),
        ("[{}]", "idx, type and path"),
        ("nonsense", "not JSON"),
    ],
)
def test_bad_modules(tmp_path: Path, text: str, message: str) -> None:
    folder = write_model(tmp_path / "m")
    (folder / "modules.json").write_text(text)
    with pytest.raises(CheckpointError, match=message):
        read_checkpoint(folder)


def router(folder: Path, static: dict[str, str], file: str = "router_config.json") -> Path:
    """A Router of a masked LM and a static table whose config.json is `static`."""
    write_model(folder / "d")
    for sub, config in (("p", {"pooling_strategy": "max"}), ("q", static)):
        (folder / sub).mkdir()
        (folder / sub / "config.json").write_text(json.dumps(config))
    types = {"q": "x.SparseStaticEmbedding", "d": "x.MLMTransformer", "p": "x.SpladePooling"}
    config = {"types": types, "structure": {"query": ["q"], "document": ["d", "p"]}, "parameters": {}}
    (folder / file).write_text(json.dumps(config))
    (folder / "modules.json").write_text(modules(("", "x.Router")))
    return folder


@pytest.mark.parametrize("place", ["q", "."])
def test_router_with_idf_json_by_path(tmp_path: Path, place: str) -> None:
    folder = router(tmp_path / "m", {"path": "opensearch-project/some-model/idf.json"}, "config.json")
    (folder / place / "idf.json").write_text("{}")
    c = read_checkpoint(folder)
    assert isinstance(c.query, QueryTable) and c.query.weights is not None
    assert c.query.weights.resolve() == (folder / place / "idf.json").resolve()
    assert c.query.missing == 0.0


def test_router_without_its_table(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"q/model.safetensors: no such file"):
        read_checkpoint(router(tmp_path / "m", {"frozen": "true"}))
    with pytest.raises(CheckpointError, match=r"idf.json is neither"):
        read_checkpoint(router(tmp_path / "n", {"path": "idf.json"}))


def test_prompts_and_top_k(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m")
    (folder / "1").mkdir()
    (folder / "1" / "config.json").write_text('{"pooling_strategy": "max", "activation_function": "relu"}')
    (folder / "modules.json").write_text(modules(("", "a.Transformer"), ("1", "a.SpladePooling")))
    root = {"prompts": {"query": "q: ", "passage": "p: "}, "max_active_dims": 9}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(root))
    c = read_checkpoint(folder)
    assert (c.settings.query_prompt, c.settings.document_prompt, c.settings.top_k) == ("q: ", "p: ", 9)
    (folder / "config_sentence_transformers.json").write_text(
        json.dumps({"prompts": {"a": "x: "}, "default_prompt_name": "a"})
    )
    settings = read_checkpoint(folder).settings
    assert (settings.query_prompt, settings.document_prompt) == ("x: ", "x: ")
    for name in ("b", 5):  # sentence-transformers refuses these; they meant no prompt here
        (folder / "config_sentence_transformers.json").write_text(
            json.dumps({"prompts": {"a": "x: "}, "default_prompt_name": name})
        )
        with pytest.raises(CheckpointError, match=r"default_prompt_name is .*, which is none of its prompts"):
            read_checkpoint(folder)


@pytest.mark.parametrize(
    ("root", "told"),
    [
        ({"similarity_fn_name": "dot"}, []),
        ({"similarity_fn_name": "cosine"}, ["similarity_fn_name is 'cosine'; hits are ranked by the dot"]),
        ({"prompts": {"query": "q: ", "document": "p: ", "passage": "x: "}}, []),
        (
            {"prompts": {"corpus": "p: "}},
            ["the prompt 'p: ' is put before each document; it is not named doc"],
        ),
        (
            {"prompts": {"web": "p: ", "query": ""}, "default_prompt_name": "web"},
            ["the prompt 'p: ' is put before each document"],
        ),
        (
            {"prompts": {"web": "p: "}, "default_prompt_name": "web"},
            [
                "is put before each document",
                "is put before each query; it is not named query, so encode_query",
            ],
        ),
    ],
)
def test_what_sentence_transformers_ranks_otherwise_is_told(
    tmp_path: Path, root: dict[str, object], told: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    folder = write_model(tmp_path / "m")
    (folder / "1").mkdir()
    (folder / "1" / "config.json").write_text("{}")
    (folder / "modules.json").write_text(modules(("", "a.Transformer"), ("1", "a.SpladePooling")))
    (folder / "config_sentence_transformers.json").write_text(json.dumps(root))
    read_checkpoint(folder)
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == len(told)
    for line, words in zip(lines, told, strict=True):
        assert line.startswith(f"{folder / 'config_sentence_transformers.json'}: ") and words in line
    (folder / "config_sentence_transformers.json").write_text('{"similarity_fn_name": 5}')
    with pytest.raises(CheckpointError, match=r"similarity_fn_name is 5, not the name of a similarity"):
        read_checkpoint(folder)


@pytest.mark.parametrize(
    ("mappings", "refused"),
    [
        ({"('query', None)": "query", "('document', 'text')": "document"}, False),
        ({}, False),
        (None, False),
        ({"('query', None)": "document"}, True),
        ({"('document', 'text')": "query"}, True),
        ({"(None, 'text')": "document"}, True),
        ({"(None, None)": "query"}, True),
        (["query"], True),
    ],
)
def test_mappings_of_routes(tmp_path: Path, mappings: object, refused: bool) -> None:
    """Queries that a mapping sends to the documents' route were read by the table all the same."""
    folder = router(tmp_path / "m", {"path": "idf.json"})
    (folder / "q" / "idf.json").write_text("{}")
    config = json.loads((folder / "router_config.json").read_text())
    config["parameters"] = {"route_mappings": mappings}
    (folder / "router_config.json").write_text(json.dumps(config))
    if not refused:
        assert isinstance(read_checkpoint(folder).query, QueryTable)
        return
    with pytest.raises(CheckpointError, match=r"router_config.json: route_mappings (sends|is) "):
        read_checkpoint(folder)


def test_another_limit_of_a_table_s_queries_is_followed(tmp_path: Path) -> None:
    folder = router(tmp_path / "m", {"path": "idf.json"})
    (folder / "q" / "idf.json").write_text("{}")
    (folder / "q" / "tokenizer_config.json").write_text('{"model_max_length": 64}')
    assert read_checkpoint(folder).settings.query_max_length is None
    for limit in (9, 100):
        (folder / "q" / "tokenizer_config.json").write_text(f'{{"model_max_length": {limit}}}')
        settings = read_checkpoint(folder).settings
        assert (settings.max_length, settings.length_of_queries) == (64, limit)
    (folder / "q" / "tokenizer_config.json").write_text('{"model_max_length": 9.5}')
    with pytest.raises(CheckpointError, match=r"tokenizer_config.json: model_max_length is 9.5, not a numb"):
        read_checkpoint(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"architectures": ["BertModel"]}, "BertModel"),
        ({"architectures": None}, "neither a masked nor a causal"),
    ],
)
def test_other_architectures(tmp_path: Path, change: dict[str, object], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        read_checkpoint(write_model(tmp_path / "m", **change))


def test_missing_and_broken_files(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such folder"):
        read_checkpoint(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match=r"config.json: no such file"):
        read_checkpoint(tmp_path / "empty")
    folder = write_model(tmp_path / "m")
    (folder / "config.json").write_text("{broken")
    with pytest.raises(CheckpointError, match="not JSON"):
        read_checkpoint(folder)
    (folder / "config.json").write_text("[1]")
    with pytest.raises(CheckpointError, match="expected a JSON object"):
        read_checkpoint(folder)
    folder = write_model(tmp_path / "n")
    (folder / "model.safetensors").write_bytes(b"abc")
    with pytest.raises(CheckpointError, match="not a safetensors file"):
        read_checkpoint(folder)


def test_reading_imports_no_torch(opensearch_folder: Callable[[str], Path]) -> None:
    """The whole query side of an inference-free checkpoint, and the fingerprint, without torch."""
    folder = opensearch_folder("opensearch-doc-v2")
    program = f"""
import sys
from splade_engine import SparseEncoder
encoder = SparseEncoder.load({str(folder)!r})
vectors = encoder.encode_queries(["bado kilu", "mero"])
assert len(vectors) == 2 and vectors.nnz > 0
assert encoder.fingerprint()["hash"] and encoder.vocabulary[2] == "[CLS]"
loaded = [m for m in ("torch", "transformers", "numba", "pyarrow", "scipy") if m in sys.modules]
assert not loaded, loaded
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_a_model_in_the_cache_of_the_hub_is_named_by_its_revision(tmp_path: Path) -> None:
    cache = tmp_path / "models--owner--splade"
    revision = write_model(cache / "snapshots" / "1f0e")
    assert read_checkpoint(revision).kind == MaskedLm()
    with pytest.raises(CheckpointError) as refused:
        read_checkpoint(cache)
    assert str(refused.value) == f"{cache}: the hub's cache of a model; give a revision of it: {revision}"
