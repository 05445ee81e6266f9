"""Every config composes into a run that is possible, and the named models are as large as their names say."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from jaxlaws.compose import conf_dir, store_schema
from jaxlaws.config import TrainConfig, batch_sequences, check, eval_steps, keys, run_config, steps
from jaxlaws.data.manifest import Manifest
from jaxlaws.errors import BadInput
from jaxlaws.model.ladder import ladder, table
from jaxlaws.model.shape import ModelConfig, count_params
from jaxlaws.records.units import parse_number, parse_positive, parse_whole, short
from jaxlaws.schedules.config import FAMILIES

CONF = conf_dir()


def compose(*overrides: str):
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from omegaconf import OmegaConf

    store_schema()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        composed = hydra_compose("train", list(overrides))
    GlobalHydra.instance().clear()
    return run_config(OmegaConf.to_container(composed, resolve=True))


GROUPS = ("model", "data", "schedule", "optimizer")
CHOICES = [f"{group}={path.stem}" for group in GROUPS for path in (CONF / group).glob("*.yaml")]
NUMBERS = {"7e9": 7e9, "7B": 7e9, "1.4T": 1.4e12, "350k": 350e3, "25m": 25e6, ".5": 0.5, "2G": 2e9}


@pytest.mark.parametrize("choice", [*CHOICES, *[f"+sweep={path.stem}" for path in (CONF / "sweep").glob("*.yaml")]])
def test_every_choice_composes_into_a_possible_run(tmp_path, choice: str):
    (tmp_path / "lr.csv").write_text("step,lr,grad_norm\n" + "".join(f"{t},1e-3,2\n" for t in range(488)))
    (tmp_path / "lr.py").write_text("lr = lambda count: 1 / (1 + count)")
    extra = {
        "schedule=table": [f"schedule.file={tmp_path / 'lr.csv'}"],
        "schedule=refined": [f"schedule.file={tmp_path / 'lr.csv'}"],
        "schedule=optax": [f"schedule.file={tmp_path / 'lr.py'}:lr"],
        "schedule=power": ["schedule.a=4.6", "schedule.b=-0.51"],
    }
    Manifest("uint16", 300, 299, 299, 1, 0, {}, {}, ()).save(tmp_path)
    extra["data=shards"] = [f"data.path={tmp_path}"]
    run = compose(choice, *extra.get(choice, []))
    check(run)
    assert run.model.vocab == run.data.vocab == {"data=language": 64, "data=shards": 300}.get(choice, run.data.vocab)
    if choice == "schedule=power":
        assert (run.schedule.batch_sequences, run.schedule.seq_len) == (8, run.data.seq_len)
        with pytest.raises(BadInput, match=r"seq_len are 8, 128, the run's 4, 128"):
            check(replace(run, batch_sequences=4))


def test_every_schedule_is_a_choice_and_says_its_own_defaults():
    for name, family in FAMILIES.items():
        file = yaml.safe_load((CONF / "schedule" / f"{name}.yaml").read_text())
        run = ("batch_sequences", "seq_len")
        assert file.items() <= {**family.fields, "name": name, **{key: file.get(key) for key in run}}.items(), name


@pytest.mark.parametrize("path", sorted((CONF / "model").glob("*.yaml")), ids=lambda path: path.stem)
def test_models_are_as_large_as_their_names_say(path: Path):
    fields = yaml.safe_load(path.read_text()) | {"vocab": 256}
    assert count_params(ModelConfig(**fields).check())[0] == pytest.approx(parse_number(path.stem), rel=0.05)


def test_the_ladder_s_page_is_what_the_configs_say_and_its_steps_are_even():
    page = (CONF.parent / "docs" / "models.md").read_text()
    assert page == table(CONF / "model")
    sizes = {name: count_params(model)[0] for name, model in ladder(CONF / "model").items()}
    for name, inner in sizes.items():
        assert f"| {name} |" in page
        assert f"| {inner:,} |" in page
    steps = np.diff(np.log(list(sizes.values())))
    assert np.log(1.3) < steps.min() < steps.max() < np.log(2.6)
    assert all(model.head_width in range(16, 129) for model in ladder(CONF / "model").values())


@pytest.mark.parametrize("path", sorted((CONF / "sweep").glob("*.yaml")), ids=lambda path: path.stem)
def test_recipes_sweep_keys_that_exist(path: Path):
    recipe = yaml.safe_load(path.read_text())
    assert recipe["hydra"]["mode"] == "MULTIRUN"
    sweeper = recipe["hydra"]["sweeper"]
    for swept in [sweeper.get("params", {}), *sweeper.get("cells", [])]:
        assert set(swept) <= set(keys(TrainConfig))
    assert recipe["sweep"]["name"] == path.stem


def test_the_length_of_a_run_in_tokens_or_steps():
    run = compose("tokens=1M", "batch_sequences=8", "data.seq_len=125")
    assert (steps(run), batch_sequences(run)) == (1000, 8)
    assert eval_steps(run) == list(range(100, 1001, 100))
    assert eval_steps(compose("tokens=null", "steps=7", "eval.every=3")) == [3, 6, 7]
    assert eval_steps(compose("tokens=null", "steps=2", "eval.points=10")) == [1, 2]
    with pytest.raises(BadInput, match="has 0 steps"):
        steps(compose("tokens=10"))


@pytest.mark.parametrize(("text", "value"), NUMBERS.items())
def test_numbers_as_people_write_them(text: str, value: float):
    assert parse_number(text) == pytest.approx(value, rel=1e-15)
    assert parse_number(short(value)) == value


@pytest.mark.parametrize("text", ["", "seven", "7BB", "1e", "nan", "inf", "0x10", "1,000"])
def test_what_is_no_number_is_refused(text: str):
    with pytest.raises(BadInput, match="expected a"):
        parse_number(text, "tokens")


@pytest.mark.parametrize("text", ["0", "-1", 0.0])
def test_positive_numbers_are_more_than_zero(text):
    with pytest.raises(BadInput, match="more than zero"):
        parse_positive(text, "tokens")


WHOLE = {
    "1.5": "is 1.5, expected a whole",
    0.05: "whole",
    "-1": "from 1 to",
    "1e300": "from 1 to",
    "9" * 5000: "finite",
}


@pytest.mark.parametrize(
    ("text", "says"),
    [*WHOLE.items(), pytest.param(10**5000, "finite", id="5000 digits"), (True, "a number"), ([1], "a number")],
)
def test_whole_numbers_have_no_fraction(text, says: str):
    with pytest.raises(BadInput, match=says) as error:
        parse_whole(text, "steps")
    assert len(str(error.value)) < 200
    assert [parse_whole(good, "steps") for good in ("2.3M", "4e3", 7)] == [2_300_000, 4000, 7]
