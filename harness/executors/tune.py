"""Hyper-parameter search by Ray Tune: the candidates of one cell, side by side.

The trials are long-lived actors that are reset from one candidate to the next (`reuse_actors`),
so that the backbone is loaded once per actor and not once per candidate. Candidates, seeds and
therefore accuracies are those of the serial search.
"""

from __future__ import annotations

import shutil
from typing import Any

from ray import tune

from harness.errors import full_disk
from harness.executors.base import Settings
from harness.plan.cell import Cell
from harness.run.cell import candidate_accuracy
from harness.run.resources import Resources
from harness.run.search import Evaluator
from harness.task import NotApplicable


class _Trial(tune.Trainable):
    """Evaluates one candidate, then is done; reset to the next one."""

    def setup(self, config: dict[str, Any], **given: Any) -> None:
        """`given`: the cell, the settings and the candidates."""
        self._cell: Cell = given["cell"]
        self._candidates: list[dict[str, Any]] = given["candidates"]
        settings: Settings = given["settings"]
        self._resources = Resources(settings.cache, settings.device, settings.threads)
        self._number = config["number"]

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._number = new_config["number"]
        return True

    def step(self) -> dict[str, Any]:
        candidate = self._candidates[self._number]
        return {"top1": candidate_accuracy(self._cell, candidate, self._resources), "done": True}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing is worth keeping: the accuracy is in the trial's result."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Nothing was kept."""


def tune_evaluator(cell: Cell, settings: Settings) -> Evaluator:
    """A function from candidates to accuracies, for one cell; `settings.workers` at a time.

    Raises:
        NotApplicable: from the function, where the method cannot run here.
        RuntimeError: likewise, when a trial failed; with the trial's own error.
    """

    def evaluate(grid: list[dict[str, Any]]) -> list[float]:
        trainable = tune.with_parameters(_Trial, cell=cell, settings=settings, candidates=grid)
        tuner = tune.Tuner(
            # A local cluster has a CPU per worker, and the pool's actor, which waits, takes none.
            tune.with_resources(trainable, {"cpu": 1}),
            param_space={"number": tune.grid_search(list(range(len(grid))))},
            tune_config=tune.TuneConfig(
                metric="top1",
                mode="max",
                reuse_actors=True,
                max_concurrent_trials=settings.workers,
            ),
            run_config=tune.RunConfig(
                name=cell.id, storage_path=str(settings.cache / "tune"), verbose=0
            ),
        )
        accuracies: dict[int, float] = {}
        results = tuner.fit()
        for result in (results[position] for position in range(len(results))):
            if result.error is not None and NotApplicable.__name__ in str(result.error):
                raise NotApplicable(str(result.error).strip().splitlines()[-1])
            if result.error is not None:
                if (full := full_disk(getattr(result.error, "cause", result.error))) is not None:
                    raise full
                raise RuntimeError(f"a trial failed: {result.error}")
            assert result.config is not None and result.metrics is not None
            accuracies[result.config["number"]] = float(result.metrics["top1"])
        shutil.rmtree(settings.cache / "tune" / cell.id, ignore_errors=True)
        return [accuracies[number] for number in range(len(grid))]

    return evaluate
