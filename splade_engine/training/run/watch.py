"""`Watch`: what happens beside the steps of a run: log lines, measurements, renewed data, checkpoints."""

from __future__ import annotations

import logging
import math
import time
from pathlib import Path
from typing import Any, Protocol

from transformers import TrainerCallback

from splade_engine.progress import Progress, ProgressBar, shows_bar, write_above
from splade_engine.training.machine import trim_heap
from splade_engine.training.run.checkpoints import mark_complete
from splade_engine.training.run.health import check_fall, check_weights
from splade_engine.training.run.inputs import digest_of_run
from splade_engine.training.run.monitor import RunLog, progress_line
from splade_engine.training.run.probe import Probe
from splade_engine.training.run.trainer import SparseTrainer
from splade_engine.training.student.build import Start
from splade_engine.training.student.saving import save_student

logger = logging.getLogger(__name__)


class Refresher(Protocol):
    """Renews data."""

    def __call__(self, step: int) -> None:
        """Called after every step with its number, and with 0 before the first one."""

    def close(self) -> None:
        """End what it has left running."""


def announce(text: str, progress: Progress) -> None:
    """What happens before the first step can take a minute: say so to whoever watches."""
    if shows_bar(progress) and not logger.isEnabledFor(logging.INFO):
        write_above(text)
    else:
        logger.info("%s", text)


class Watch(TrainerCallback):
    """Logs, measures, and notes which checkpoints are whole."""

    def __init__(
        self,
        trainer: SparseTrainer,
        start: Start,
        log: RunLog,
        probe: Probe | None,
        folder: Path,
        progress: Progress,
    ) -> None:
        self.trainer, self.start, self.log, self.probe, self.folder = trainer, start, log, probe, folder
        self.steps = trainer.args.max_steps
        self._progress, self._bar = progress, ProgressBar(False, None, label="train", unit="step")
        self.ndcg: float | None = None
        self.start_ndcg: float | None = None  # before the first step
        self.best = -1.0
        self.interrupted = False  # set by whoever wants the run to stop after the step that it is in
        self.measured_at = -1
        self._since = (0, time.perf_counter())
        self._saved = time.monotonic()
        self._refreshers: list[Refresher] = []

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Start the clock where the run starts."""
        self._since = (state.global_step, time.perf_counter())
        self._bar = ProgressBar(
            self._progress, self.steps, label="train", unit="step", done=state.global_step
        )
        for row in self.log.rows():
            if "ndcg@10" in row:
                self.best = max(self.best, row["ndcg@10"])
                self.measured_at, self.ndcg = row["step"], row["ndcg@10"]
                if row["step"] == 0:
                    self.start_ndcg = row["ndcg@10"]
        if state.global_step == 0 and self.measured_at != 0 and self.probe is not None:
            announce("measuring the start", self._progress)
            self.measure()
        self._saved = time.monotonic()
        self._refreshers = refreshers(self.trainer, self.folder)
        if state.global_step == 0 and self._refreshers:
            announce("a first look at the coming examples", self._progress)
            for refresh in self._refreshers:
                refresh(0)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Averages, collapse, new orders and negatives, the probe; saving by the clock, and stopping."""
        self.trainer.after_step()
        for refresh in self._refreshers:
            refresh(state.global_step)
        self._bar.advance()
        every = self.trainer.recipe.probe.every
        if every and state.global_step % every == 0:
            self.measure()
        train = self.trainer.recipe.train
        due = time.monotonic() - self._saved >= 60 * train.save_minutes
        # several processes would have to agree on the time
        if train.save_minutes and due and args.world_size == 1:
            control.should_save = True
        if self.interrupted:
            control.should_save = bool(train.save_steps or train.save_minutes)
            control.should_training_stop = True

    def on_log(
        self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any
    ) -> None:
        """One row of the log."""
        if not logs or "loss" not in logs:
            return  # the Trainer's closing summary
        step, now = state.global_step, time.perf_counter()
        row = {"step": step, "loss": logs["loss"], "learning_rate": logs["learning_rate"]}
        # the norm of a float16 step that overflowed, and was passed over, is no number
        if math.isfinite(logs.get("grad_norm", math.nan)):
            row["grad_norm"] = logs["grad_norm"]
        found = self.trainer.monitor.summary(step)
        # the Trainer's mean forgets what was before a restart, but it is the one over all processes
        if args.world_size > 1:
            found.pop("loss", None)
        row |= found
        row["seconds_per_step"] = (now - self._since[1]) / max(1, step - self._since[0])
        self._since = (step, now)
        self._write(row)
        trim_heap()

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Mark the checkpoint complete."""
        checkpoint = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        if state.is_world_process_zero and checkpoint.is_dir():
            self.log.keep_in(checkpoint)
            mark_complete(checkpoint)
        self._saved = time.monotonic()

    def close(self) -> None:
        """Take the bar away, and end what renews data."""
        self._bar.close()
        for refresh in self._refreshers:
            refresh.close()

    def measure(self) -> float | None:
        """The quick nDCG@10 now, logged; None where nothing is held out.

        Raises:
            TrainingError: if it has fallen too far below the start (`probe.stop_below`), or a weight is no
                number.
        """
        trainer = self.trainer
        if self.probe is None or not trainer.is_world_process_zero():
            return None
        check_weights(trainer.student, trainer.recipe, trainer.state.global_step)
        found = self.probe.measure(trainer.student, trainer.collator)
        step = trainer.state.global_step
        self.measured_at, self.ndcg = step, found["ndcg@10"]
        self._write({"step": step, **found})
        if step == 0:
            self.start_ndcg = self.best = self.ndcg
            return self.ndcg
        if trainer.recipe.probe.keep_best and self.ndcg > self.best:
            save_student(
                trainer.student,
                self.folder / "best",
                self.start.documents,
                self.start.queries,
                overwrite=True,
            )
        self.best = max(self.best, self.ndcg)
        if self.start_ndcg is not None:
            check_fall(self.start_ndcg, self.ndcg, trainer.recipe, step)
        return self.ndcg

    def _write(self, row: dict[str, Any]) -> None:
        if self.trainer.is_world_process_zero():
            self.log.append(row)
            line = progress_line(row, self.steps)
            logger.info("%s", line)
            self._bar.note(line.partition("  ")[2])


def refreshers(trainer: SparseTrainer, folder: Path) -> list[Refresher]:
    """What renews data while training: NGAME's order and ANCE's negatives, where the recipe asks for them."""
    data = trainer.recipe.data
    out: list[Refresher] = []
    if data.ngame_steps:
        from splade_engine.training.mining.clusters import NgameOrder

        out.append(NgameOrder(trainer))
    if data.refresh_steps:
        from splade_engine.training.mining.refresh import NegativeRefresh

        out.append(NegativeRefresh(trainer, folder, digest_of_run(folder)))
    return out
