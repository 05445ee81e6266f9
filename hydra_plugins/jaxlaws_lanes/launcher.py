"""Hydra's side of the lanes: compose the jobs, hand them to the task's `many`, and report each as Hydra expects.

No `from __future__ import annotations` here: Hydra 1.3 executes the module before it is in `sys.modules`, where a
dataclass would look its annotations up.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra.core.config_store import ConfigStore
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, configure_log, filter_overrides, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict


@dataclass
class LanesConfig:
    """The launcher has no settings of its own: `sweep.strategy` says how runs are packed."""

    _target_: str = "hydra_plugins.jaxlaws_lanes.launcher.LanesLauncher"


class LanesLauncher(Launcher):
    """Runs all the jobs of a sweep in this process, at once: `task.many(configs) -> results`, one a job."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.hydra_context, self.task_function, self.config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        setup_globals()
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        Path(str(self.config.hydra.sweep.dir)).mkdir(parents=True, exist_ok=True)
        configs = []
        for i, overrides in enumerate(job_overrides, initial_job_idx):
            config = self.hydra_context.config_loader.load_sweep_config(self.config, list(overrides))
            with open_dict(config):
                config.hydra.job.id, config.hydra.job.num = f"job_{i}", i
                config.hydra.job.override_dirname = ",".join(filter_overrides(overrides))
            configs.append(config)
        state = Singleton.get_state()
        results = self.task_function.many(configs)  # type: ignore[attr-defined]
        jobs = []
        for config, result in zip(configs, results, strict=True):
            jobs.append(
                run_job(
                    hydra_context=self.hydra_context,
                    task_function=lambda _, result=result: result,
                    config=config,
                    job_dir_key="hydra.sweep.dir",
                    job_subdir_key="hydra.sweep.subdir",
                )
            )
            Singleton.set_state(state)
        return jobs


ConfigStore.instance().store(group="hydra/launcher", name="lanes", node=LanesConfig, provider="jaxlaws")
