"""Hydra's side of the lanes: compose the jobs, hand them to the task's `many`, and report each as Hydra expects.

No `from __future__ import annotations` here: Hydra 1.3 executes the module before it is in `sys.modules`, where a
dataclass would look its annotations up.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn, JobRuntime, JobStatus, configure_log, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

from jaxlaws.overrides import is_plain, on_copy, one_sentence, parse


@dataclass
class LanesConfig:
    """The launcher has no settings of its own: `sweep.strategy` says how runs are packed."""

    _target_: str = "hydra_plugins.jaxlaws_lanes.launcher.LanesLauncher"


class LanesLauncher(Launcher):
    """Runs all the jobs of a sweep in this process, at once: `task.many(configs, None) -> results`, one a job.

    Hydra's callbacks of single jobs are not called, since no job has a process or a time of its own.
    """

    cluster: Mapping[str, Any] | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.hydra_context, self.task_function, self.config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        setup_globals()
        for logging in (self.config.hydra.hydra_logging, self.config.hydra.job_logging):
            configure_log(logging, self.config.hydra.verbose)
        configs = compose(self.hydra_context.config_loader, self.config, job_overrides)
        results = self.task_function.many(configs, self.cluster)  # type: ignore[attr-defined]
        hydra = OmegaConf.masked_copy(self.config, ["hydra"])
        return [
            JobReturn(
                overrides=list(overrides),
                cfg=config,
                hydra_cfg=hydra,
                working_dir=os.getcwd(),
                task_name=JobRuntime.instance().get("name"),
                status=JobStatus.COMPLETED,
                _return_value=result,
            )
            for overrides, config, result in zip(job_overrides, configs, results, strict=True)
        ]


@dataclass
class SubmititConfig:
    """The same sweep as jobs of a cluster, each a shard of it.

    Attributes:
      executor: auto (slurm where there is one), slurm, local (processes of this machine) or debug (in this process).
      shards: n, parts that the sweep is cut into, each one job.
      timeout_min, mem_gb, cpus_per_task, gpus_per_node: of a job.
      slurm: further options of sbatch as submitit names them, such as partition, account, qos, setup.
    """

    _target_: str = "hydra_plugins.jaxlaws_lanes.launcher.SubmititLauncher"
    executor: str = "auto"
    shards: int = 4
    timeout_min: int = 240
    mem_gb: float | None = None
    cpus_per_task: int | None = None
    gpus_per_node: int | None = None
    slurm: dict[str, Any] = field(default_factory=dict)


class SubmititLauncher(LanesLauncher):
    """Sends the shards of a sweep to a cluster and waits for them: `task.many(configs, settings) -> results`."""

    def __init__(self, slurm: Mapping[str, Any], **settings: Any) -> None:
        self.cluster = {**settings, **{f"slurm_{name}": value for name, value in slurm.items()}}


def compose(loader: Any, master: DictConfig, jobs: Sequence[Sequence[str]]) -> list[DictConfig]:
    """Every job's config, without Hydra's own part.

    Hydra composes once for each choice of config groups. The other overrides, `key=value` of a key that is not a group,
    are set on copies in their order, as Hydra itself does after composing.

    Args:
      loader: Hydra's config loader.
      master: the config of the sweep as a whole.
      jobs: the overrides of each job.
    """
    texts = list(dict.fromkeys(text for job in jobs for text in job))
    parsed = dict(zip(texts, parse(texts, master.sweep.max_runs), strict=True))
    plain = {text for text, item in parsed.items() if is_plain(item)}
    on_copy(master, [item for text, item in parsed.items() if text in plain])  # a bad one is met before any is composed
    bases: dict[tuple[str, ...], DictConfig] = {}
    configs = []
    for job in jobs:
        choices = tuple(text for text in job if text not in plain)
        if choices not in bases:
            with one_sentence("the config does not compose"):
                bases[choices] = loader.load_sweep_config(master, list(choices))
            with open_dict(bases[choices]):
                del bases[choices]["hydra"]
        configs.append(on_copy(bases[choices], [parsed[text] for text in job if text in plain]))
    return configs


ConfigStore.instance().store(group="hydra/launcher", name="lanes", node=LanesConfig, provider="jaxlaws")
ConfigStore.instance().store(group="hydra/launcher", name="lanes_submitit", node=SubmititConfig, provider="jaxlaws")
