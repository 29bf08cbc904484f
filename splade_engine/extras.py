"""Packages that a light installation lacks, and the command that brings them.

Two distributions hold this code. `splade-engine` installs what encoding and evaluation need too;
`splade-engine-core` opens and searches an index, and has the rest as extras. Whatever imports one of these
packages does so inside `needed`, so that a missing one is a line that says what to do.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from splade_engine.errors import MissingExtraError

# import name: (package to install, extra of splade-engine-core, extra of splade-engine; "" comes with it)
PACKAGES = {
    "torch": ("torch", "encode", ""),
    "transformers": ("transformers", "encode", ""),
    "scipy": ("scipy", "eval", ""),
    "bm25s": ("bm25s", "eval", ""),
    "Stemmer": ("PyStemmer", "eval", ""),
    "ir_measures": ("ir-measures", "eval", ""),
    "ir_datasets": ("ir-datasets", "eval", ""),
    "jinja2": ("Jinja2", "eval", ""),
    "faiss": ("faiss-cpu", "dense", ""),
    "accelerate": ("accelerate", "train", "train"),
    "matplotlib": ("matplotlib", "train", "train"),
    "sentence_transformers": ("sentence-transformers", "dense", "dense"),
    "ray": ("ray[data,serve]", "ray", "ray"),
    "onnx": ("onnx", "onnx", "onnx"),
    "onnxruntime": ("onnxruntime", "onnx", "onnx"),
    "mcp": ("mcp", "serve", "serve"),
    "starlette": ("starlette", "serve", "serve"),
    "uvicorn": ("uvicorn", "serve", "serve"),
    "prometheus_client": ("prometheus_client", "serve", "serve"),
    "pypdfium2": ("pypdfium2", "files", "files"),
    "mammoth": ("mammoth", "files", "files"),
    "watchfiles": ("watchfiles", "files", "files"),
    "langchain_core": ("langchain-core", "langchain", "langchain"),
    "llama_index": ("llama-index-core", "llamaindex", "llamaindex"),
    "haystack": ("haystack-ai", "haystack", "haystack"),
    "pyterrier": ("pyterrier", "pyterrier", "pyterrier"),
    "mteb": ("mteb", "mteb", "mteb"),
    "lsr_benchmark": ("lsr-benchmark", "lsr-benchmark", "lsr-benchmark"),
    "tirex_tracker": ("lsr-benchmark", "lsr-benchmark", "lsr-benchmark"),
}


@contextmanager
def needed(what: str) -> Iterator[None]:
    """Say how to install a package of the table that the block fails to import.

    Args:
        what: what cannot be done without it, "encoding documents".

    Raises:
        MissingExtraError: "encoding documents needs torch: pip install 'splade-engine-core[encode]'".
    """
    try:
        yield
    except ModuleNotFoundError as error:
        missing = missing_extra(error, what)
        if missing is None:
            raise
        raise missing from error


def missing_extra(error: ModuleNotFoundError, what: str) -> MissingExtraError | None:
    """The error that names the command to run; None where the missing module is none of the table."""
    module = (error.name or "").partition(".")[0]
    if module not in PACKAGES:
        return None
    return MissingExtraError(f"{what} needs {PACKAGES[module][0]}: {install_command(module)}")


def install_command(module: str) -> str:
    """The command that installs what `import module` needs, for the distribution that is installed."""
    package, core_extra, extra = PACKAGES[module]
    if _is_core():
        return f"pip install 'splade-engine-core[{core_extra}]'"
    return f"pip install 'splade-engine[{extra}]'" if extra else f"pip install {package}"


@cache
def _is_core() -> bool:
    """Whether the distribution that is installed is the light one."""
    from importlib import metadata  # 30 ms, for a message

    names = {"splade-engine": False, "splade-engine-core": False}
    for name in names:
        try:
            metadata.distribution(name)
            names[name] = True
        except metadata.PackageNotFoundError:
            pass
    return names["splade-engine-core"] and not names["splade-engine"]
