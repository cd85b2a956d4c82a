"""Hydra's own sweeper, but that the sweep is planned first and what is there is not launched."""

from __future__ import annotations

from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class PlannedSweeper(BasicSweeper):
    """See `goracs.sweep_line`; Hydra imports this file at every start, so it imports the rest late."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what jobs are run by."""
        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)
        self.task_function = task_function

    def sweep(self, arguments: list[str]) -> Any:
        """Plan the sweep, and run what is not there."""
        from goracs import sweep_line

        words = [*self._parse_config(), *arguments]
        return sweep_line.run(self, words)
