"""The long tests of `scripts/torture`: one row a tier. A new tier is a row here and a function elsewhere.

A tier is a function of a count and a seed that returns a `Tally`: how many trials it made, what came of
them, and what was lost. The same function at a small count is an ordinary test beside it (`tests/attacks`,
`tests/crash`), so that the short tier runs with every change. Functions are named and not imported: a part
that is not installed, or broken, takes away its own tiers only.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.attacks.trials import Tally


@dataclass(frozen=True)
class Tier:
    """One row of the table."""

    # what selects it on the command line
    name: str
    # one line for a reader
    what: str
    # trials of a full run
    count: int
    # "module:function" below tests/, a function of (count, seed)
    function: str

    def load(self) -> Callable[[int, int], Tally]:
        """The function that runs it.

        Raises:
            TypeError: if it takes anything but a count and a seed.
        """
        module, _, name = self.function.partition(":")
        found: Callable[[int, int], Tally] = getattr(import_module(f"tests.{module}"), name)
        inspect.signature(found).bind(1, 1)
        return found


TIERS = (
    # files of an index
    Tier("bit_flips", "bits flipped in any file of an index", 10_000, "attacks.damage:bit_flips"),
    Tier("sizes", "files of an index cut short or grown", 2_000, "attacks.damage:sizes"),
    Tier("forged_arrays", "forged arrays, right checksums", 10_000, "attacks.hostile:forged_arrays"),
    Tier("unvalidated", "self-check: the same, unvalidated", 1_000, "attacks.hostile:without_validation"),
    Tier("forged_manifests", "forged manifests, real files", 20_000, "attacks.hostile:forged_manifests"),
    Tier("manifests", "forged manifests, parser alone", 100_000, "attacks.manifests:mutated"),
    Tier("mutants", "each check of the index left out", 1_000, "attacks.mutants:killed"),
    # files of vectors
    Tier("vector_files", "damaged vector files", 50_000, "attacks.vector_files:damaged"),
    Tier("imported_files", "damaged CIFF, npz and points", 20_000, "attacks.imported_files:damaged"),
    # files of a model
    Tier("damaged_models", "damaged files of encoders", 10_000, "attacks.damaged_models:damaged"),
    # recipes, suites, records of results
    Tier("settings_files", "damaged settings", 20_000, "attacks.settings_files:damaged"),
    # writers that fail, die, race and lose power
    Tier("every_call", "every system call fails or kills", 500, "crash.faults:every_call"),
    Tier("kill_9", "kill -9 during publish", 1_000, "crash.kills:kill_9"),
    Tier("lost_states", "power loss", 5_000, "crash.powerloss:lost_states"),
    Tier("missing_flushes", "self-check: a flush is missing", 1_000, "crash.powerloss:missing_flushes"),
    Tier("full_disk", "disk full", 200, "crash.kills:full_disk"),
    Tier("resumed", "kill -9 of encoding and building", 50, "crash.resume:killed_and_resumed"),
    Tier("interrupted", "signals and kill -9 in ten commands", 200, "crash.interrupts:interrupted"),
    Tier("readers", "readers during republishing", 2_000, "crash.kills:readers_during_writes"),
    Tier("races", "writers race", 200, "crash.kills:races"),
    Tier("writers", "4 writers at once, killed: a serial replay", 1_200, "crash.writers:contended"),
    Tier("unlocked", "self-check: writers without a lock", 20, "crash.writers:without_the_lock"),
    # the same answers, for ever
    Tier("same_bytes", "same bytes from every build", 10, "crash.soak:same_bytes"),
    Tier("threads", "8 threads, queries each", 6_000, "crash.kills:threads"),
    Tier("cold_starts", "cold starts, 4 processes a round", 20, "crash.soak:cold_starts"),
    Tier("long_life", "open, search, forget", 20_000, "crash.soak:long_life"),
    Tier("soak", "open, search, forget, in seconds", 600, "crash.soak:soak"),
)
