"""Hydra's side of a sweep's jobs: what is swept, by a recipe and on the command line, into the launcher's job list.

No `from __future__ import annotations` here, for the reason given in launcher.py.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from jaxlaws.config import SweepConfig
from jaxlaws.overrides import parse, resolved, rivals, typed
from jaxlaws.sweep.space import Values, expand, values


@dataclass
class JaxlawsSweeperConfig:
    """What a recipe sweeps: `params` in every cell, and a list of `cells`, each with settings of its own.

    The values are overrides as typed: `6k,25k`, `logspace(1e-3,1e-2,4)`, `tag(log,interval(1e-3,1e-2))`. A key given on
    the command line wins over both. `config.sweep` says how keys are zipped, sampled and replicated.
    """

    _target_: str = "hydra_plugins.jaxlaws_lanes.sweeper.JaxlawsSweeper"
    params: dict[str, str] | None = field(default_factory=dict)
    cells: list[Any] | None = None


class JaxlawsSweeper(Sweeper):
    """Gives the launcher all the jobs at once (`jaxlaws.sweep.space.expand`)."""

    def __init__(self, params: Mapping[str, str] | None, cells: Sequence[Mapping[str, Any]] | None) -> None:
        self.params, self.cells = params or {}, cells or [{}]

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.hydra_context, self.config = hydra_context, config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Any:
        how = SweepConfig(**resolved(self.config.sweep))
        asked, params = (self._parsed(texts, how.max_runs) for texts in (arguments, typed(self.params)))
        cells = [{**params, **self._parsed(typed(cell), how.max_runs), **asked} for cell in self.cells]
        jobs = expand(cells, how.zip, how.samples, how.method, how.sample_seed, how.replicates, how.max_runs)
        return [self.launcher.launch(jobs, initial_job_idx=0)]

    def _parsed(self, overrides: Sequence[str], most: int) -> dict[str, Values]:
        given = {item.get_key_element(): values(item) for item in parse(overrides, most)}
        return given | {key: ["null"] for key in rivals({key: said == ["null"] for key, said in given.items()})}


ConfigStore.instance().store(group="hydra/sweeper", name="jaxlaws", node=JaxlawsSweeperConfig, provider="jaxlaws")
