"""The two distributions: the same modules, and a light list of dependencies that is part of the full one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import splade_engine
from splade_engine.extras import PACKAGES

ROOT = Path(__file__).parents[1]
FULL = tomllib.loads((ROOT / "pyproject.toml").read_text())
CORE = tomllib.loads((ROOT / "packaging" / "core" / "pyproject.toml").read_text())


def packages_of(requirements):
    """{package: requirement}, without references of a distribution to its own extras."""
    split = {r.partition(">=")[0].partition("==")[0].lower(): r for r in requirements}
    return {name: r for name, r in split.items() if not name.startswith("splade-engine")}


def test_the_light_list_is_part_of_the_full_one_with_the_same_versions():
    full, core = packages_of(FULL["project"]["dependencies"]), packages_of(CORE["project"]["dependencies"])
    assert core.items() <= full.items()
    assert not {"torch", "transformers", "scipy", "faiss-cpu", "bm25s"} & core.keys()


def test_the_extras_of_the_light_one_make_it_the_full_one():
    full, core = FULL["project"], CORE["project"]
    everything = packages_of(
        [
            *full["dependencies"],
            *(
                r
                for e in (
                    *("train", "dense", "serve", "ray", "onnx", "files"),
                    *("langchain", "llamaindex", "haystack", "pyterrier", "mteb", "lsr-benchmark"),
                )
                for r in full["optional-dependencies"][e]
            ),
        ]
    )
    extras = packages_of([r for extra in core["optional-dependencies"].values() for r in extra])
    assert packages_of(core["dependencies"]) | extras == everything


def test_every_package_that_can_be_missing_is_in_the_extra_that_the_message_names():
    for package, core_extra, extra in PACKAGES.values():
        assert package.lower() in packages_of(CORE["project"]["optional-dependencies"][core_extra])
        listed = FULL["project"]["optional-dependencies"][extra] if extra else FULL["project"]["dependencies"]
        assert package.lower() in packages_of(listed)


def test_all_else_is_the_same():
    for key in (
        "requires-python",
        "license",
        "keywords",
        "classifiers",
        "scripts",
        "dynamic",
        "entry-points",
    ):
        assert FULL["project"][key] == CORE["project"][key]
    for key in ("packages", "package-data", "dynamic"):
        assert FULL["tool"]["setuptools"][key] == CORE["tool"]["setuptools"][key]
    assert FULL["build-system"] == CORE["build-system"]


@pytest.mark.slow
def test_both_wheels_hold_the_same_modules_and_nothing_else(tmp_path):
    tree = tmp_path / "tree"
    left_out = shutil.ignore_patterns(".*", "build", "*.egg-info", "__pycache__", "tests", "docs", "*venv*")
    shutil.copytree(ROOT, tree, symlinks=True, ignore=left_out)
    contents = []
    for project in (tree, tree / "packaging" / "core"):
        out = tmp_path / f"wheel{len(contents)}"
        command = [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "-q",
            "--no-deps",
            "--no-build-isolation",
            "-w",
            out,
            project,
        ]
        subprocess.run(command, check=True, env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"})
        (wheel,) = out.iterdir()
        assert splade_engine.__version__ in wheel.name
        with zipfile.ZipFile(wheel) as archive:
            contents.append({i.filename: i.CRC for i in archive.infolist() if "dist-info" not in i.filename})
    assert contents[0] == contents[1]
    sources = {p.relative_to(ROOT).as_posix() for p in (ROOT / "splade_engine").rglob("*.py")}
    assert sources == {name for name in contents[0] if name.endswith(".py")}
    assert {name.partition("/")[0] for name in contents[0]} == {"splade_engine"}
    for size in ("default", "tiny"):
        assert f"splade_engine/models/{size}/model.safetensors" in contents[0]
