"""`NegativesById`: the rows of a file of mined negatives, found by the id of their query."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from splade_engine.errors import DatasetError
from splade_engine.training.data.line_file import SCORE_LIMIT, LineFile, is_score, key_of
from splade_engine.training.data.mined import tell_unmarked


class NegativesById:
    """A mined-negatives file, by query id.

    Its lines are {"query_id", "negative_ids": [...], perhaps "positive_id", "scores"}.
    """

    def __init__(self, path: Path, cache: Path) -> None:
        self.lines = LineFile(path, cache)
        self._rows: dict[int, list[int]] = {}
        for i in range(len(self.lines)):
            record = self.lines.record(i)
            if "query_id" not in record or not isinstance(record.get("negative_ids"), list):
                raise DatasetError(f"{self.lines.place(i)}: query_id and negative_ids are needed")
            if (scores := record.get("scores")) is not None and not _are_numbers(scores):
                raise DatasetError(f"{self.lines.place(i)}: scores is not a list of numbers{SCORE_LIMIT}")
            if scores is not None and len(scores) != len(record["negative_ids"]) + 1:
                raise DatasetError(
                    f"{self.lines.place(i)}: {len(scores)} scores for a positive and "
                    f"{len(record['negative_ids'])} negatives"
                )
            self._rows.setdefault(key_of(str(record["query_id"])), []).append(i)
        tell_unmarked(path, self.lines.record(0))

    def row(self, query_id: str, positive_id: str) -> int | None:
        """The line of a query, where there is one that of this positive; None where there is none."""
        records = self.rows_of(query_id)
        exact = [i for i, record in records.items() if str(record.get("positive_id", "")) == positive_id]
        return next(iter(exact or records), None)

    def rows_of(self, query_id: str) -> dict[int, dict[str, Any]]:
        """The lines of a query, by their numbers."""
        records = {i: self.lines.record(i) for i in self._rows.get(key_of(query_id), [])}
        return {i: record for i, record in records.items() if str(record["query_id"]) == query_id}


def _are_numbers(values: object) -> bool:
    return isinstance(values, list) and all(map(is_score, values))
