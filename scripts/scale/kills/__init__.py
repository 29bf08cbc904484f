"""Encode, build and serve on a Ray cluster of this machine while its processes and nodes are killed.

Every stage is run again until it has seen so many kills. What comes out is compared with what one process
makes of the same documents: ids, vectors and texts, bit for bit, and while serving, the hits of every answer
with those of the generation that the answer names.
"""

from __future__ import annotations

from scripts.scale.kills.job import Job, prepare
from scripts.scale.kills.outcome import Outcome, compared
from scripts.scale.kills.stages import run

__all__ = ["Job", "Outcome", "compared", "prepare", "run"]
