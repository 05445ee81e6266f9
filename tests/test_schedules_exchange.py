"""Schedules out and in again: exactly, in other trainers' terms, and through the command line."""

import csv
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxlaws.cli import main
from jaxlaws.config import DataConfig, EvalConfig, ModelConfig, OptimizerConfig, RunConfig
from jaxlaws.errors import BadInput
from jaxlaws.recommender import transfer
from jaxlaws.recommender.case import Case, Refusal
from jaxlaws.recommender.question import question
from jaxlaws.schedules import families
from jaxlaws.schedules.config import FAMILIES
from jaxlaws.schedules.exchange import from_optax, lambda_table, read_table, to_optax, write_table
from jaxlaws.schedules.refine import refined, smooth_norms
from jaxlaws.schedules.spec import ScheduleConfig, identity, parse, schedule_array, spec_string

#: Arrays that are hard to write down: odd decimals, an LR of zero, tiny ones, a single step.
ARRAYS = {
    "wsd": 3e-3 * families.wsd(997, 50, 0.3, "1-sqrt"),
    "noise": np.random.default_rng(0).lognormal(-7, 3, size=500),
    "tiny": np.array([5e-324, 1e-300, 0.1 + 0.2, 0.0]),
    "one": np.array([1 / 3]),
}


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("suffix", [".csv", ".npy", ".json"])
def test_a_file_is_read_back_exactly(tmp_path, name: str, suffix: str):
    path = write_table(tmp_path / f"lr{suffix}", ARRAYS[name])
    np.testing.assert_array_equal(read_table(path), ARRAYS[name])
    config = ScheduleConfig(**parse(f"table(file={path})"))
    trained = schedule_array(config, len(ARRAYS[name]), ARRAYS[name].max())
    np.testing.assert_array_equal(trained, ARRAYS[name])
    assert ScheduleConfig(**parse(spec_string(config))) == config


@pytest.mark.parametrize("name", ARRAYS)
def test_what_other_programs_make_of_the_files(tmp_path, name: str):
    """The csv module, numpy, and LambdaLR's arithmetic, base LR times the lambda of the step."""
    lr = ARRAYS[name]
    with write_table(tmp_path / "lr.csv", lr).open() as stream:
        assert [float(row["lr"]) for row in csv.DictReader(stream)] == lr.tolist()
    np.testing.assert_array_equal(np.load(write_table(tmp_path / "lr.npy", lr)), lr)
    table = json.loads(write_table(tmp_path / "lr.json", lr).read_text())
    assert (table["base_lr"], table["multipliers"]) == (lr.max(), lambda_table(lr)[1].tolist())
    for step, value in enumerate(lr):
        assert abs(table["base_lr"] * (table["multipliers"] + [0])[step] - value) <= np.spacing(value)


def test_an_optax_schedule_out_and_in():
    lr = ARRAYS["wsd"]
    schedule = to_optax(lr)
    np.testing.assert_array_equal(from_optax(schedule, 997), lr.astype(np.float32))
    assert jax.jit(schedule)(jnp.int32(996)) == schedule(5000) == np.float32(lr[-1])
    with jax.enable_x64(True):
        np.testing.assert_array_equal(from_optax(schedule, 997), lr)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (optax.constant_schedule(0.1), np.full(50, 0.1)),
        (optax.linear_schedule(0.98, 0.0, 49), families.linear(50)),
        (optax.cosine_decay_schedule(1.0, 49, 0.1), families.cosine(50, 1, 0.1)),
        (optax.join_schedules([lambda t: (t + 1) / 10, optax.constant_schedule(1.0)], [10]), families.constant(50, 10)),
        (optax.piecewise_constant_schedule(1.0, {40: 0.316, 45: 0.1 / 0.316}), families.step(50)),
    ],
)
def test_optax_schedules_are_read(theirs, ours):
    np.testing.assert_allclose(from_optax(theirs, 50), ours, rtol=2e-6, atol=1e-7)


#: What a file may do that would end this process → the error that is named instead.
ENDS = (
    ("import sys\nsys.exit(0)", "SystemExit"),
    ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    ("def lr(count):\n    raise SystemExit", "SystemExit"),
)


def test_an_optax_file_runs_once_in_a_process_and_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    count = "with open('count', 'a') as runs:\n    runs.write('x')\n"
    Path("lr.py").write_text(f"{count}lr = lambda count: 1.0 / (1 + count)\n")
    assert main(["train", "schedule=optax", "schedule.file=lr.py:lr", "tokens=50k", "--dry-run"]) == 0
    assert capsys.readouterr().err.count("lr.py as a Python program") == 1
    assert Path("count").read_text() == "x"
    Path("lr.py").write_text("import sys\nsys.exit(0)")
    assert main(["train", "schedule=optax", "schedule.file=lr.py:lr", "--dry-run"]) == 2
    assert "lr.py does not run as an optax schedule (SystemExit" in capsys.readouterr().err


def test_a_schedule_that_a_fit_names_runs_no_program(tmp_path):
    (tmp_path / "lr.py").write_text("raise SystemExit")
    own = {"schedule": f"optax(file={tmp_path}/lr.py:lr)"}
    run = {"peak_lr": 1e-3, "batch_tokens": 2**20, "steps": 1000, "batches": None, "at": lambda n, d: (None, None)}
    case = Case("law", question(params="1B", tokens="1B"), convention=own, request={"schedule": "linear"}, **run)
    assert isinstance(transfer.change(case), Refusal)


def test_an_optax_schedule_in_a_file_is_a_family_known_by_its_text(tmp_path):
    made = "import optax\nlr = optax.exponential_decay(2e-3, 10, 0.5)\n"
    for name in ("a.py", "b.py"):
        (tmp_path / name).write_text(made)
    config = ScheduleConfig(**parse(f"optax(file={tmp_path / 'a.py'}:lr)"))
    np.testing.assert_allclose(schedule_array(config, 30, 1e-3), 1e-3 * 0.5 ** (np.arange(30) / 10), rtol=1e-6)
    assert identity(config) == identity(ScheduleConfig(name="optax", file=f"{tmp_path / 'b.py'}:lr"))
    assert ScheduleConfig(**parse(spec_string(config))) == config
    for text, says in (
        ("lr = 1 / 0", "ZeroDivisionError"),
        ("other = 1", "makes no 'lr'"),
        ("lr = 3", "TypeError"),
        *ENDS,
    ):
        (tmp_path / "a.py").write_text(text)
        with pytest.raises(BadInput, match=says):
            schedule_array(config, 30, 1e-3)


def test_a_schedule_refined_from_norms_in_a_file(tmp_path):
    norms = np.random.default_rng(0).lognormal(size=200)
    (tmp_path / "n.csv").write_text("step,grad_norm\n" + "".join(f"{t},{norm}\n" for t, norm in enumerate(norms)))
    config = ScheduleConfig(**parse(f"refined(file={tmp_path / 'n.csv'}, exponent=1, smooth=0.05)"))
    lr = schedule_array(config, 200, 1e-3)
    np.testing.assert_allclose(lr, 1e-3 * refined(smooth_norms(norms, 0.05), 1.0), rtol=1e-13)
    longer = schedule_array(config, 2000, 1e-3)
    np.testing.assert_allclose(longer[9::10], lr, rtol=0.03, atol=1e-5)
    assert identity(config) != identity(ScheduleConfig(name="refined", file=config.file))
    (tmp_path / "n.csv").write_text("grad_norm\n1\n0\n")
    with pytest.raises(BadInput, match="not a positive number"):
        schedule_array(config, 200, 1e-3)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.npy", b"x"),
        ("a.npy", b""),
        ("a.json", b"[1, 2]"),
        ("a.json", b'{"lr": 1}'),
        ("a.json", b"\xff"),
        ("a.json", b'{"lr": [1, "x"]}'),
        ("a.json", b'{"lr": [-1]}'),
        ("a.csv", b"\xff\xfe\x00"),
        ("a.csv", b"step,lr\n0\n"),
    ],
)
def test_files_of_another_kind_are_refused(tmp_path, name: str, content: bytes):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadInput):
        read_table(tmp_path / name)
    np.save(tmp_path / "square.npy", np.ones((2, 2)))
    with pytest.raises(BadInput, match="shape"):
        read_table(tmp_path / "square.npy")
    with pytest.raises(BadInput, match="does not say its format"):
        write_table(tmp_path / "lr.txt", np.ones(3))


def test_an_exported_schedule_drives_plain_optax_to_the_same_losses(tmp_path, capsys):
    """`jaxlaws schedule -o`, read with the csv module into `optax.adamw`, next to our training of the same spec."""
    from jaxlaws.cli.progress import progress
    from jaxlaws.data.tokens import open_data
    from jaxlaws.model.transformer import build
    from jaxlaws.quickstart import sweep

    spec, lr_file = "wsd_cycles(warmup_steps=3, cooldown=0.4, shape=square, cycles=2)", tmp_path / "lr.csv"
    assert main(["schedule", spec, "--steps", "40", "--peak-lr", "0.01", "-o", str(lr_file)]) == 0
    run = RunConfig(
        model=ModelConfig(width=16, depth=1, heads=2, mlp_width=24, vocab=16),
        data=DataConfig(source="language", vocab=16, seq_len=16),
        schedule=ScheduleConfig(**parse(spec)),
        optimizer=OptimizerConfig(peak_lr=0.01),
        eval=EvalConfig(points=4, sequences=32),
        steps=40,
        batch_sequences=4,
    )
    (planned,) = sweep([run], tmp_path / "runs", progress)
    with (planned.directory.path / "curve.csv").open() as stream:
        ours = list(csv.DictReader(stream))

    with lr_file.open() as stream:
        lr = np.array([float(row["lr"]) for row in csv.DictReader(stream)])
    data, model = open_data(run.data), build(run.model)
    mask = lambda params: jax.tree.map(lambda x: x.ndim >= 2, params)  # noqa: E731
    adamw = optax.adamw(to_optax(lr), 0.9, 0.95, 1e-8, weight_decay=0.1, mask=mask)
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), adamw)

    def loss(params, tokens):
        logits = jax.nn.log_softmax(model.apply(params, tokens[:, :-1]))
        return -jnp.take_along_axis(logits, tokens[:, 1:, None], axis=-1).mean()

    @jax.jit
    def step(params, state, tokens):
        value, gradient = jax.value_and_grad(loss)(params, tokens)
        update, state = optimizer.update(gradient, state, params)
        return optax.apply_updates(params, update), state, value

    params = model.init(jax.random.key(0))
    state, losses, read = optimizer.init(params), [], jax.jit(data.read)
    for t in range(40):
        params, state, value = step(params, state, read(data.store, data.picks(0, t, 1, 4)[0]))
        losses.append(float(value))
    assert [int(row["step"]) for row in ours] == [10, 20, 30, 40]
    for i, row in enumerate(ours):
        assert float(row["train_loss"]) == pytest.approx(np.mean(losses[10 * i : 10 * i + 10]), rel=2e-5)
    val_loss = float(jax.jit(loss)(params, read(data.store, data.val_picks(32))))
    assert float(ours[-1]["val_loss"]) == pytest.approx(val_loss, rel=2e-5)


def test_the_command_shows_writes_and_draws(tmp_path, capsys):
    files = {name: str(tmp_path / name) for name in ("lr.csv", "lr.png")}
    arguments = ["schedule", "wsd(cooldown=0.25)", "--steps", "2k", "--peak-lr", "3e-3", "--warmup", "100"]
    assert main([*arguments, "-o", files["lr.csv"], "--plot", files["lr.png"]]) == 0
    out = capsys.readouterr().out
    assert "2000 steps, 100 of them warm-up, peak LR 0.003" in out
    assert out.count("█") > 30
    assert "decay begins          1500" in out
    assert Path(files["lr.png"]).read_bytes().startswith(b"\x89PNG")
    assert main(["schedule", files["lr.csv"], "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["steps"], answer["peak_lr"], answer["final_lr"]) == (2000, 3e-3, 0.0)
    expected = schedule_array(ScheduleConfig(name="wsd", cooldown=0.25, warmup_steps=100), 2000, 3e-3)
    np.testing.assert_array_equal(read_table(Path(files["lr.csv"])), expected)
    assert main(["schedule", files["lr.csv"], "--peak-lr", "1e-3", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["mean_lr"] == pytest.approx(expected.mean() / 3)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["wsd(warmup_steps=200)"], "the warm-up has 200 steps, the run has 100"),
        (["wsd", "--warmup", "101"], "the warm-up has 101 steps"),
        (["wsd(cooldown=1.2)"], "schedule.cooldown is 1.2"),
        (["cosine(floor=-0.1)"], "floor of the schedule is -0.1"),
        (["cosine(floor_lr=-1e-5)"], "floor of the schedule is -0.01"),
        (["wsd(shape=exponential)"], "cannot end at zero"),
        (["wsd(cooldown=nan)"], "schedule.cooldown is 'nan'"),
        (["wsd(warmup_fraction=nan)"], "schedule.warmup_fraction is 'nan'"),
        (["cosine(cooldown=0.2)"], "unknown field of cosine"),
        (["power"], "needs schedule.a"),
        (["wsd", "--peak-lr=-1"], "--peak-lr is -1"),
        (["wsd", "--steps", "0"], "--steps is 0"),
        (["wsd", "--steps", "1.5"], "--steps is 1.5, expected a whole number"),
        (["wsd", "--warmup", "0.05"], "--warmup is 0.05, expected a whole number"),
        (["wsd(warmup_steps=3)", "--warmup", "4"], "leave one out"),
        (["wsdd"], "did you mean 'wsd'"),
        (["absent.csv"], "'absent.csv' is not a file, expected one that ends with .csv, .npy, .json"),
        (["wsd", "-o", "lr.txt"], "does not say its format"),
        (["wsd", "--plot", "lr.txt"], "--plot is 'lr.txt'"),
    ],
)
def test_impossible_requests_get_one_sentence_and_exit_code_2(capsys, arguments: list[str], says: str):
    assert main(["schedule", "--steps", "100", "--peak-lr", "1e-3", *arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert says in printed.err
    assert printed.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["schedule.warmup_steps=10000"], "the run has 977: shorten schedule.warmup_steps"),
        (["schedule=wsd", "schedule.cooldown=1.2"], "schedule.cooldown is 1.2"),
        (["schedule=wsd", "schedule.shape=exponential"], "cannot end at zero"),
        (["schedule.floor=-0.1"], "floor of the schedule is -0.1"),
        (["schedule=power"], "needs schedule.a"),
        (["schedule=step", "schedule.values=[.5]"], "values has 1 numbers"),
    ],
)
def test_a_run_with_an_impossible_schedule_does_not_start(capsys, arguments: list[str], says: str):
    assert main(["train", "tokens=500k", "data.seq_len=64", "batch_sequences=8", *arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert says in printed.err
    assert printed.err.count("\n") == 1


def test_without_an_argument_the_command_lists_every_family(capsys):
    assert main(["schedule", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert {name: about["fields"] for name, about in listed.items()} == {n: f.fields for n, f in FAMILIES.items()}
    assert all(about["about"].endswith(".") for about in listed.values())
    assert main(["schedule"]) == 0
    assert capsys.readouterr().out.count("\n") == 2 * len(FAMILIES) + 1


def test_predict_reads_what_the_command_writes(tmp_path, capsys):
    answers = []
    spec = ["wsd(cooldown=0.1, shape=1-sqrt, warmup_steps=100)", "--steps", "3000", "--peak-lr", "3e-4"]
    for name in ("lr.csv", "lr.npy", "lr.json"):
        assert main(["schedule", *spec, "-o", str(tmp_path / name)]) == 0
        capsys.readouterr()
        arguments = ["--schedule", str(tmp_path / name), "--warmup", "100", "--json"]
        assert main(["predict", "multi_power:25M", *arguments]) == 0
        answers.append(json.loads(capsys.readouterr().out)["value"])
    assert main(["predict", "multi_power:25M", "--schedule", *spec, "--json"]) == 0
    assert {json.loads(capsys.readouterr().out)["value"]} == set(answers)
