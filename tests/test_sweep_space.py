"""What is swept becomes exactly the jobs that were meant, and composing them is what Hydra would do job by job."""

import importlib
import math

import numpy as np
import pytest

from jaxlaws.compose import conf_dir, store_schema
from jaxlaws.errors import BadInput
from jaxlaws.sweep.space import Interval, expand, logspace, parser, values

GRID = {"a": ["1", "2"], "b": ["x", "y"]}


def parsed(*overrides: str) -> dict:
    return {item.get_key_element(): values(item) for item in parser().parse_overrides(list(overrides))}


def test_a_grid_is_multiplied_the_last_key_fastest():
    assert expand([GRID]) == [["a=1", "b=x"], ["a=1", "b=y"], ["a=2", "b=x"], ["a=2", "b=y"]]


def test_zipped_lists_advance_together_and_the_rest_is_multiplied():
    jobs = expand([{**GRID, "c": ["0", "9"]}], zipped=["a", "c"])
    assert jobs == [["a=1", "c=0", "b=x"], ["a=1", "c=0", "b=y"], ["a=2", "c=9", "b=x"], ["a=2", "c=9", "b=y"]]


def test_cells_follow_each_other_and_equal_jobs_come_once():
    jobs = expand([{"n": ["1"], "lr": ["3", "4"]}, {"n": ["2"], "lr": ["4", "5"]}, {"n": ["2"], "lr": ["5"]}])
    assert jobs == [["n=1", "lr=3"], ["n=1", "lr=4"], ["n=2", "lr=4"], ["n=2", "lr=5"]]


def test_replicates_are_the_seeds_from_the_jobs_own_on():
    assert expand([{"a": ["1"]}], replicates=3) == [["a=1", f"seed={i}"] for i in range(3)]
    assert expand([{"seed": ["7"]}], replicates=2) == [["seed=7"], ["seed=8"]]


def test_log_spaced_values_are_equal_ratios_with_both_ends():
    assert logspace(1e-3, 1e-1, 3) == [1e-3, 1e-2, 1e-1]
    ratios = np.diff(np.log(logspace(2e-4, 3e-2, 7)))
    np.testing.assert_allclose(ratios, math.log(150) / 6, atol=1e-5)
    assert parsed("lr=logspace(1e-3,1e-1,3)") == {"lr": ["0.001", "0.01", "0.1"]}


def test_hydras_own_sweeps_are_read():
    assert parsed("a=range(1,4)", "b=choice(x,y)", "c=5") == {"a": ["1", "2", "3"], "b": ["x", "y"], "c": ["5"]}
    assert parsed("lr=tag(log,interval(1e-3,1e-1))")["lr"] == Interval(1e-3, 1e-1, log=True)
    assert parsed("b=int(interval(2,8))")["b"] == Interval(2, 8, whole=True)


@pytest.mark.parametrize("method", ["sobol", "random"])
def test_samples_are_inside_joint_and_the_same_every_time(method: str):
    cell = {"lr": Interval(1e-4, 1e-2, log=True), "a": ["1", "2"], "wd": Interval(0.0, 0.5)}
    jobs = expand([cell], samples=32, method=method)
    assert jobs == expand([cell], samples=32, method=method)
    assert jobs != expand([cell], samples=32, method=method, sample_seed=1)
    rows = [dict(text.split("=") for text in job) for job in jobs]
    assert len(rows) == 64
    pairs = {(row["lr"], row["wd"]) for row in rows}
    assert len(pairs) == 32
    lr, wd = np.array([[float(value) for value in pair] for pair in pairs]).T
    assert lr.min() >= 1e-4
    assert lr.max() <= 1e-2
    assert wd.min() >= 0
    assert wd.max() <= 0.5
    if method == "sobol":
        for share in ((np.log10(lr) + 4) / 2, wd / 0.5):
            counts = np.histogram(share, bins=16, range=(0, 1))[0]
            assert np.all(counts == 2), "every sixteenth of every axis has its two of 32 Sobol points"


def test_whole_intervals_give_every_whole_number_an_equal_share():
    item = Interval(2, 5, whole=True)
    assert [item.at(u) for u in (0.0, 0.249, 0.25, 0.999)] == ["2", "2", "3", "5"]
    assert Interval(4, 64, log=True, whole=True).at(0.5) == "16"


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"zipped": ["a", "z"]}, "sweep.zip names z"),
        ({"zipped": ["a", "long"]}, "a has 2, long has 3"),
        ({"samples": 0}, "sweep.samples is 0"),
        ({"replicates": -1}, "sweep.replicates is -1"),
        ({"method": "sobel"}, "did you mean 'sobol'"),
        ({"replicates": 2, "seeds": True}, "seed is swept"),
    ],
)
def test_what_makes_no_sweep_is_one_sentence(settings: dict, says: str):
    cell = {**GRID, "long": ["1", "2", "3"], "seed": ["0", "1"] if settings.pop("seeds", False) else ["0"]}
    with pytest.raises(BadInput, match=says):
        expand([cell], **settings)


@pytest.mark.parametrize("text", ["lr=tag(log,interval(0,1))", "lr=interval(3,2)"])
def test_an_interval_has_two_ends_in_order(text: str):
    with pytest.raises(BadInput, match="is no interval"):
        parsed(text)


JOBS = [
    ["model=6k", "tokens=1M", "optimizer.peak_lr=0.002", "schedule=wsd", "schedule.cooldown=0.5"],
    ["model=25k", "tokens=null", "steps=30", "data.seq_len=64", "seed=3"],
    ["model=25k", "model.depth=3", "schedule=cosine", "model.depth=4", "+sweep=schedules"],
    ["model=6k", "tokens=2M", "optimizer.peak_lr=0.004", "schedule=wsd", "schedule.cooldown=0.1"],
    ["eval={points: 3}", "data=language", "data.vocab=16"],
]


def test_composing_on_copies_is_what_hydra_composes_job_by_job():
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from omegaconf import OmegaConf

    launcher = importlib.import_module("hydra_plugins.jaxlaws_lanes.launcher")
    store_schema()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        expected = [OmegaConf.to_container(compose("train", job), resolve=True) for job in JOBS]
        master = compose("train", [], return_hydra_config=True)
        found = launcher.compose(GlobalHydra.instance().hydra.config_loader, master, JOBS)
    GlobalHydra.instance().clear()
    assert [OmegaConf.to_container(config, resolve=True) for config in found] == expected
    with (
        pytest.raises(BadInput, match=r"'seed=soon' does not fit the config"),
        initialize_config_dir(str(conf_dir()), version_base="1.3"),
    ):
        launcher.compose(GlobalHydra.instance().hydra.config_loader, master, [["seed=soon"]])
    GlobalHydra.instance().clear()
