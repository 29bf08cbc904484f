"""What a light installation and another operating system can do, tried with everything else out of reach."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from splade_engine import SearchEngine

HEAVY = (
    "torch transformers scipy faiss bm25s Stemmer ir_measures ir_datasets accelerate matplotlib jinja2 "
    "sentence_transformers pandas sklearn peft"
)
BLOCK = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}.split():
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Blocked())
"""


def run(code: str, blocked: str, *arguments: object, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh interpreter that cannot import some packages."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", BLOCK.format(blocked=blocked) + code, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=check,
        timeout=300,
    )


@pytest.fixture(scope="module")
def index(tmp_path_factory) -> Path:
    """Three notes under the bundled encoder."""
    folder = tmp_path_factory.mktemp("light") / "ix"
    notes = [
        {"id": "moon", "text": "The gravity of the moon pulls the sea, twice a day.", "year": 1998},
        {"id": "bread", "text": "Yeast turns sugar into gas, and the dough rises.", "year": 2015},
        {"id": "battery", "text": "Lithium ions move between two electrodes.", "year": 2019},
    ]
    SearchEngine.build(folder, notes)
    return folder


def test_an_index_is_searched_explained_filtered_and_changed_without_the_heavy_packages(index):
    code = """
from splade_engine import SearchEngine
engine = SearchEngine.open(sys.argv[1])
hit = engine.search("lunar pull on the ocean", k=1)[0]
assert hit.id == "moon" and hit.text.startswith("The gravity"), hit
assert any(match.is_expansion for match in hit.explain().matches)
assert engine.search("moon", where="year > 2000", exact=True) == []
engine.index.tune(engine.encode_queries(["moon", "bread"]), k=1)
engine.delete(["battery"])
engine.compact()
assert len(engine) == 2
assert not {m.partition(".")[0] for m in sys.modules} & set(%r.split())
"""
    run(code % HEAVY, HEAVY, index)


@pytest.mark.parametrize(
    ("code", "what"),
    [
        (
            "SparseEncoder.load().encode_documents(['moon'])",
            "encoding with a model needs torch",
        ),
        (
            "SparseEncoder.load().encode_queries(['moon']).to_scipy()",
            "to_scipy needs scipy",
        ),
        (
            "SparseEncoder.load().encode_queries(['moon']).to_torch()",
            "to_torch needs torch",
        ),
    ],
)
def test_what_needs_one_of_them_says_how_to_install_it(code, what):
    script = f"""
from splade_engine import SparseEncoder
from splade_engine.errors import MissingExtraError
try:
    {code}
except MissingExtraError as error:
    print(error)
"""
    assert run(script, HEAVY).stdout.startswith(f"{what}: pip install ")


def test_commands_say_how_to_install_what_they_need(index, tmp_path):
    (tmp_path / "more.jsonl").write_text('{"id": "new", "text": "new words"}\n')
    script = "from splade_engine.cli import main\nmain()"
    found = run(script, HEAVY, "search", index, "lunar")
    assert "moon" in found.stdout
    for command in (["add", index, tmp_path / "more.jsonl"], ["eval", tmp_path / "more.jsonl"]):
        refused = run(script, HEAVY, *command, check=False)
        assert refused.returncode == 2
        assert refused.stderr.count("\n") == 1, refused.stderr
