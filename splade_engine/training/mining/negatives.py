"""Mining hard negatives: documents that a retriever ranks high for a query and that are not its answer.

The corpus is indexed once (our own index for a sparse retriever and BM25, faiss for a dense one), every
query is searched, its own positives and probable false negatives are left out, and the rest is written as
one JSON object a line. An interrupted run continues where it stopped: the index is kept beside the output,
and complete lines are not done again.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from splade_engine.arguments import path_of, shown
from splade_engine.encoder.arguments import checked_devices
from splade_engine.errors import DatasetError, InvalidInputError, TrainingError
from splade_engine.files import atomic_file, beside, disk_errors, read_json, refuse_ours, write_json
from splade_engine.locks import lock_holder, take_lock
from splade_engine.progress import Progress, ProgressBar, check_progress
from splade_engine.training.data.mined import MINED_FROM, mined_from
from splade_engine.training.digests import changed, digests_of_models
from splade_engine.training.mining.config import GIVEN, MiningConfig
from splade_engine.training.mining.retrievers import PairScorer, open_retriever, open_teacher
from splade_engine.training.mining.task import Judged, MiningTask

logger = logging.getLogger(__name__)

PLAN = "plan.json"
_BEFORE_PLAN = frozenset({".lock", "cache"})  # what an interrupted run may have written before its plan
CHUNK = 256  # queries searched, scored and written at a time


def mine(
    data: str | Path,
    output: str | Path,
    config: MiningConfig,
    *,
    device: str = "auto",
    progress: Progress = False,
) -> int:
    """Mine negatives for every query of `data` into `output`; returns how many queries got some.

    Args:
        data: BEIR folder, or JSONL pairs or triples.
        output: JSONL; one row a query and positive: `query_id`, `positive_id`, `negative_ids`, `mined_from`
            (a digest of their texts, which training compares), with texts `query`, `positive`, `negatives`,
            and with a teacher `scores` (positive first).
        config: see `MiningConfig`.
        device: `auto`, `cpu` or `cuda`, for neural models.
        progress: see `Progress`; encoding the corpus comes first, then the queries.

    Raises:
        InvalidInputError: for bad input, or an output that was begun with another configuration, other data
            or other models.
        TrainingError: if another process is mining into the same output.
        StorageError: for a disk that is full or cannot be written to.
    """
    data, output = path_of("data", data), path_of("output", output)
    refuse_ours(output)
    check_progress(progress)
    checked_devices([device])
    work = beside(output, ".mining")
    with disk_errors(output):
        strange = output.exists() and not (work / PLAN).is_file()
    if strange:
        raise InvalidInputError(f"{output}: exists already")
    _refuse_strange(work)
    task = MiningTask(data, work / "cache")
    with disk_errors(output):
        work.mkdir(parents=True, exist_ok=True)
        lock = take_lock(work / ".lock")
    if lock is None:
        raise TrainingError(f"{output}: process {lock_holder(work / '.lock')} is mining into it")
    with lock, disk_errors(output):
        try:
            if not config.texts and not task.has_ids:
                raise InvalidInputError(
                    f"{data}: its rows have no ids, so that ids alone would say nothing; write the texts too"
                )
            return _mined(output, work, task, config, device, progress)
        except BaseException as error:
            refused = isinstance(error, InvalidInputError) and not _has_vectors(work)
            if (refused or not (work / PLAN).is_file()) and not output.exists():
                shutil.rmtree(work, ignore_errors=True)
            raise


def _mined(
    output: Path, work: Path, task: MiningTask, config: MiningConfig, device: str, progress: Progress
) -> int:
    done = _continued(output, work, config, task)
    # first: a teacher that does not load is told before an hour of encoding
    score = open_teacher(config, task, device)
    retriever = open_retriever(config, task, work, device, progress)
    with (
        output.open("a", encoding="utf-8") as out,
        ProgressBar(progress, len(task.queries), label="mine", unit=" queries", done=done) as bar,
    ):
        for first in range(done, len(task.queries), CHUNK):
            chunk = task.queries[first : first + CHUNK]
            k = min(len(task.ids), config.skip + config.depth + max(len(q.positive_ids) for q in chunk))
            ranked = retriever.search([q.query for q in chunk], k)
            lines = []
            for number, (query, row) in enumerate(zip(chunk, ranked, strict=True), start=first):
                rows = mined_rows(query, [task.ids[d] for d in row if d >= 0], task, config, score, number)
                lines.append(json.dumps({"n": number, "rows": rows}, ensure_ascii=False) + "\n")
            out.write("".join(lines))
            out.flush()
            bar.advance(len(chunk))
    return _finish(output, work)


def mined_rows(
    query: Judged,
    ranked: Sequence[str],
    task: MiningTask,
    config: MiningConfig,
    score: PairScorer | None,
    number: int,
) -> list[dict[str, Any]]:
    """One row per positive of a query from its ranked document ids."""
    own = set(query.positive_ids)
    own_texts = {task.text(d) for d in own if d in task.numbers}
    candidates = [d for d in ranked if d not in own][config.skip : config.skip + config.depth]
    candidates = [d for d in candidates if task.text(d) not in own_texts]  # copies of a positive
    scores = score(query.query, [task.text(d) for d in candidates]) if score and candidates else None
    rng = np.random.default_rng([config.seed, number])
    rows = []
    for positive in query.positive_ids:
        row: dict[str, Any] = {"query_id": query.query_id, "positive_id": positive}
        kept = list(range(len(candidates)))
        if score is not None and scores is not None:
            best = float(score(query.query, [task.text(positive)])[0])
            if GIVEN not in config.retrievers:  # somebody has said that those are negatives
                limit = false_negative_limit(best, config)
                kept = [i for i in kept if scores[i] <= limit]
        if config.sampling == "random":
            kept = sorted(rng.permutation(len(kept))[: config.negatives].tolist()) if kept else []
        kept = kept[: config.negatives]
        row["negative_ids"] = [candidates[i] for i in kept]
        text, texts = task.text(positive), [task.text(candidates[i]) for i in kept]
        row[MINED_FROM] = mined_from(query.query, [text], texts)
        if config.texts:
            row["query"], row["positive"], row["negatives"] = query.query, text, texts
        if score is not None:
            row["scores"] = [best, *(float(scores[i]) for i in kept)] if scores is not None else []
        rows.append(row)
    return rows


def false_negative_limit(positive: float, config: MiningConfig) -> float:
    """The teacher score above which a candidate is taken for an unlabelled positive."""
    relative = positive - abs(positive) * config.relative_margin  # below the positive for negative scores too
    return min(relative, positive - config.absolute_margin)


# ---- resuming ---------------------------------------------------------------------------------------


def _refuse_strange(work: Path) -> None:
    """Check that a folder of this name is one of ours: it is emptied, and removed in the end.

    Raises:
        InvalidInputError: it holds something else.
    """
    with disk_errors(work):
        found = {path.name for path in work.iterdir()} if work.is_dir() else set()
    if PLAN not in found and (strange := sorted(found - _BEFORE_PLAN)):
        raise InvalidInputError(
            f"{work}: holds {shown(strange[0])}, which mining has not written; mining works in a folder of "
            "this name, so move it away or choose another output"
        )


def _has_vectors(work: Path) -> bool:
    """Whether encoded texts would go with the folder; what BM25 needs is made anew each time."""
    files = (path.relative_to(work) for path in work.rglob("*") if path.is_file())
    return any({PLAN, ".lock", "bm25", "cache"}.isdisjoint(path.parts) for path in files)


def _continued(output: Path, work: Path, config: MiningConfig, task: MiningTask) -> int:
    """How many queries the output holds already; a line cut short by a kill is removed.

    While mining, a line is {"n": number, "rows": [...]}; `_finish` turns it into the rows themselves.
    """
    models = [name.partition(":")[2] for name in (*config.retrievers, config.teacher)]
    inputs = task.digests | digests_of_models(models)
    settings = asdict(config) | {
        "retriever": config.retriever if isinstance(config.retriever, str) else list(config.retriever)
    }
    plan = {**settings, "queries": len(task.queries), "documents": len(task.ids), "inputs": inputs}
    path = work / PLAN
    if not path.is_file():
        if output.exists():
            raise InvalidInputError(f"{output}: exists already")
        write_json(path, plan)
        return 0
    if output.is_file() and _is_finished(output):
        shutil.rmtree(work, ignore_errors=True)  # killed between the last rename and this
        raise InvalidInputError(f"{output}: exists already")
    begun: Any = read_json(path)
    anew = f"remove {work} and {output} to begin anew"
    if not isinstance(begun, dict) or not isinstance(begun.get("inputs"), dict):
        raise InvalidInputError(f"{path}: damaged; {anew}")
    if not output.is_file() or not output.stat().st_size:
        if begun != plan:  # nothing was mined by it: a slip that was noticed, or models that did not load
            _forget(work)
            write_json(path, plan)
        return 0
    if (what := changed(begun["inputs"], inputs)) is not None:
        raise InvalidInputError(
            f"{what}: changed since {output} was begun, which counts queries and documents; restore it to "
            f"continue, or {anew}"
        )
    if begun != plan:
        different = next((k for k in plan if begun.get(k) != plan[k]), "version")
        raise InvalidInputError(
            f"{output}: begun with {different} = {begun.get(different)!r}, now {plan.get(different)!r}; "
            f"the same settings continue it, {anew}"
        )
    whole = output.read_bytes()
    whole = whole[: whole.rfind(b"\n") + 1]
    with output.open("rb+") as file:
        file.truncate(len(whole))
    lines = whole.splitlines()
    wrong = next((n for n, line in enumerate(lines) if not line.startswith(b'{"n": %d, ' % n)), None)
    if wrong is not None:
        raise InvalidInputError(f"{output}:{wrong + 1}: not a line that mining has written; {anew}")
    done = len(lines)
    if done:
        logger.info("%s: %d of %d queries are done", output, done, len(task.queries))
    return done


def _is_finished(output: Path) -> bool:
    """Whether the file holds rows already, not numbered lines."""
    with output.open("rb") as file:
        start = file.read(6)
    return bool(start) and not start.startswith(b'{"n": ')


def _finish(output: Path, work: Path) -> int:
    """Rows in place of the numbered lines, in one rename; then the working folder goes.

    Returns:
        How many queries have some, those of earlier calls included.

    Raises:
        DatasetError: if no query kept a negative; nothing stays then.
    """
    found = n_pairs = n_left_out = 0
    with output.open(encoding="utf-8") as lines, atomic_file(output) as out:
        for line in lines:
            pairs = json.loads(line)["rows"]
            rows = [row for row in pairs if row["negative_ids"]]
            n_pairs, n_left_out = n_pairs + len(pairs), n_left_out + len(pairs) - len(rows)
            for row in rows:
                out.write(json.dumps(row, ensure_ascii=False).encode("utf-8") + b"\n")
            found += bool(rows)
        if not found:
            output.unlink()
            shutil.rmtree(work, ignore_errors=True)
            raise DatasetError(
                f"{output}: no query kept a negative, so nothing is written; lower the margins, raise the "
                "depth or skip fewer"
            )
    if n_left_out:
        logger.warning(
            "%s: %d of %d pairs of a query and its answer got no negative, and are not in the file",
            *(output, n_left_out, n_pairs),
        )
    shutil.rmtree(work, ignore_errors=True)
    return found


def _forget(work: Path) -> None:
    """Remove the vectors that were made for another plan."""
    for path in work.iterdir():
        if path.is_dir() and path.name != "cache":  # copies of the data, named by their content
            shutil.rmtree(path, ignore_errors=True)
