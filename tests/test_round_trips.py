"""What `collect` writes is fitted as the sweep is: equal inputs, and so equal constants, for every law."""

import json

import numpy as np
import pytest
from samples import schedules

from jaxlaws.cli import main
from jaxlaws.fitting.points import points
from jaxlaws.inputs import INPUTS
from jaxlaws.laws.table import LAWS
from jaxlaws.records.run import RunDir
from jaxlaws.records.source import open_runs


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """Runs over four schedules, three N and three D with an LR × batch grid, and one that diverged."""
    folder = tmp_path_factory.mktemp("round") / "sweep"
    rng = np.random.default_rng(0)
    for number, (n, d, lr, batch) in enumerate(
        np.stack(np.meshgrid((1e6, 4e6, 1.6e7), (1e6, 2e6, 4e6), (1e-3, 2e-3, 4e-3, 8e-3), (2048, 4096, 8192)), -1)
        .reshape(-1, 4)
        .tolist()
    ):
        name, shape = list(schedules(steps=int(d / batch), warmup=20, peak=lr).items())[number % 4]
        _run(folder / f"run{number:03d}", n, d, lr, batch, name, shape, rng)
    lost = RunDir(folder / "lost")
    lost.ask({}, np.full(500, 0.05))
    assert lost.claim()
    lost.start_curve()
    record = {"params_nonembedding": 1_000_000, "params_total": 1_016_384, "tokens": 4_096_000, "peak_lr": 0.05}
    record |= {"batch_tokens": 8192, "seq_len": 128, "batch_sequences": 64, "schedule": "wsd"}
    lost.finish({"status": "diverged", "steps": 500, "warmup_steps": 20, **record})
    return folder


def _run(path, n, d, lr, batch, schedule, shape, rng):
    loss = (1.7 + 48 / n**0.2 + 50 / d**0.22) * (1 + 0.02 * np.log(lr / 3e-3) ** 2 + 0.01 * np.log(batch / 4e3) ** 2)
    steps = len(shape)
    run = RunDir(path)
    run.ask({"steps": steps}, shape)
    assert run.claim()
    run.start_curve()
    for step in np.linspace(steps // 10, steps, 10).astype(int).tolist():
        run.add_point({"step": step, "val_loss": loss * (steps / step) ** 0.1 * np.exp(rng.normal(0, 1e-3))})
    end = float(run.path.joinpath("curve.csv").read_text().split("\n")[-2].split(",")[4])
    record = {"params_nonembedding": int(n), "params_total": int(n) + 16_384, "tokens": steps * int(batch)}
    record |= {"peak_lr": lr, "batch_tokens": int(batch), "seq_len": 128, "batch_sequences": int(batch) // 128}
    run.finish({"status": "ok", "steps": steps, "warmup_steps": 20, "val_loss_nats": end, "schedule": "wsd", **record})


@pytest.fixture(scope="module")
def collected(sweep):
    files = {"point": sweep.parent / "runs.csv", "curve": sweep.parent / "curves.csv.gz"}
    for kind, flags in (("point", ()), ("curve", ("--curves",))):
        assert main(["collect", str(sweep), *flags, "-o", str(files[kind])]) == 0
    return files


@pytest.fixture(scope="module")
def opened(sweep, collected):
    some = {"point": (), "curve": ("batch_tokens==8192", "params_nonembedding!=4M")}
    return {kind: [open_runs(source, where=some[kind]) for source in (sweep, collected[kind])] for kind in collected}


#: Columns that every run of ours records and a law reads.
RECORDED = {"params", "tokens", "batch_tokens", "steps", "peak_lr", "flops"}
#: The laws of the loss that read nothing else, of schedules what an LR array says.
OF_OUR_RUNS = [
    name
    for name, law in LAWS.items()
    if law.convention["loss"] == "nats"
    and all((row := INPUTS[key]).column in RECORDED or (row.of_schedule and not row.logged) for key in law.inputs)
]


@pytest.mark.parametrize("law", sorted(OF_OUR_RUNS))
def test_a_law_reads_the_same_from_what_was_collected(opened, law):
    before, after = (points(LAWS[law], runs) for runs in opened[LAWS[law].kind])
    assert before.names == after.names
    np.testing.assert_allclose(after.loss, before.loss, rtol=1e-12)
    for name, values in before.inputs.items():
        np.testing.assert_allclose(after.inputs[name], values, rtol=1e-9, err_msg=name)


@pytest.mark.parametrize(
    ("law", "kind", "flags"),
    [
        ("step_law", "point", ()),
        ("chinchilla", "point", ("--assume", "tuning=best", "--starts", "4")),
        ("opl", "curve", ("--where", "batch_tokens==2048", "--where", "params_nonembedding==1M", "--starts", "2")),
    ],
)
def test_equal_constants_come_out(sweep, collected, capsys, law, kind, flags):
    fits = []
    for source in (sweep, collected[kind]):
        capsys.readouterr()
        assert main(["fit", law, str(source), *flags, "--bootstrap", "0", "--force", "--json"]) == 0
        fits.append(json.loads(capsys.readouterr().out))
    assert fits[0]["params"] == pytest.approx(fits[1]["params"], rel=1e-6)
    assert fits[0]["data"]["runs"] == fits[1]["data"]["runs"]
    if kind == "point":
        assert fits[0]["data"]["used"] == "109 runs: 108 used, 1 diverged (lost)"
