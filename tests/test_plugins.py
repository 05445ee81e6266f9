"""Plug-ins: rows of others in our tables, from a file or an installed package, and what is said where one is broken."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import samples

from jaxlaws import plugins
from jaxlaws.cli import main
from jaxlaws.data.config import READS as SOURCES
from jaxlaws.errors import BadInput
from jaxlaws.hyper import READS as OPTIMIZERS
from jaxlaws.laws.table import LAWS
from jaxlaws.model.shape import ARCHITECTURES
from jaxlaws.schedules.config import FAMILIES

EXAMPLES = Path(__file__).resolve().parent.parent / "docs" / "plugins"
#: Example of a part of the training wing → the table that its row is in, and the override that asks for it.
TRAINED = {
    "sawtooth": (FAMILIES, "schedule=sawtooth"),
    "signum": (OPTIMIZERS, "optimizer=signum"),
    "numerals": (SOURCES, "data=numerals"),
    "bigram": (ARCHITECTURES, "model=bigram"),
}


pytestmark = pytest.mark.usefixtures("own_tables")


def test_examples_are_short():
    lengths = {path.name: len(path.read_text().splitlines()) for path in EXAMPLES.glob("*.py")}
    assert len(lengths) == 6
    assert max(lengths.values()) <= 30, lengths


def test_a_run_is_trained_with_a_schedule_an_optimiser_a_model_and_data_of_plugins(tmp_path, capsys):
    files = [word for name in TRAINED for word in ("--plugin", str(EXAMPLES / f"{name}.py"))]
    asked = [override for _, override in TRAINED.values()]
    small = ["steps=20", "batch_tokens=512", "optimizer.peak_lr=1e-3", f"out={tmp_path / 'runs'}"]
    assert main(["train", *files, *asked, *small]) == 0
    record = json.loads(next(tmp_path.glob("runs/*/run.json")).read_text())
    assert (record["status"], record["schedule"].partition("(")[0], record["optimizer"]) == ("ok", "sawtooth", "signum")
    assert record["params_nonembedding"] == 64**2
    assert record["val_loss_nats"] < 5.53
    assert main(["train", *asked[:1], *small]) == 0, "in one process the rows stay"
    capsys.readouterr()
    assert main(["train", "schedule=zigzag", *small]) == 2
    assert "sawtooth" in capsys.readouterr().err


@pytest.mark.parametrize("name", TRAINED)
def test_rows_of_ours_cannot_be_replaced(name):
    table, _ = TRAINED[name]
    ours = next(iter(table))
    with pytest.raises(BadInput, match=f"two rows for the .* {ours}"):
        table[ours] = object()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("x = (", "SyntaxError"),
        ("import nowhere_at_all", "No module named 'nowhere_at_all'"),
        ("raise SystemExit(7)", "SystemExit: 7"),
        ("from jaxlaws.schedules.config import FAMILIES; FAMILIES['cosine'] = 3", "two rows for the schedule cosine"),
        (
            "from jaxlaws.schedules.config import Family; F = Family(min, {'teeth': 3})",
            "unknown field of a schedule 'teeth'",
        ),
        (None, "expected a file of Python"),
    ],
)
def test_a_broken_plugin_is_one_sentence(tmp_path, capsys, content, told):
    path = tmp_path / "mine.py"
    if content is not None:
        path.write_text(content)
    assert main(["laws", "--plugin", str(path)]) == 2
    said = capsys.readouterr().err
    assert told in said
    assert said.count("\n") == 1
    assert "mine.py" in said


def test_a_plugin_is_named_by_a_flag_or_a_variable_and_children_have_it(monkeypatch):
    monkeypatch.setenv(plugins.VARIABLE, "/a/one.py")
    rest, files = plugins.named_in(["fit", "--plugin", "/a/two.py", "law", "--plugin=/a/one.py", "--json"])
    assert (rest, files) == (["fit", "law", "--json"], ["/a/one.py", "/a/two.py"])
    with plugins.for_children(files):
        assert plugins.named_in(["laws"]) == (["laws"], files)
    assert plugins.named_in(["laws"]) == (["laws"], ["/a/one.py"])
    with pytest.raises(BadInput, match="--plugin has no file"):
        plugins.named_in(["laws", "--plugin"])


#: Law of the examples → its file, the flags of its own input, and the table with one level of that input.
LAWS_OF_EXAMPLES = {
    "depth": ("depth_law", ["--params", "2e8", "--n-layers", "24"], {"n_layers": 8}),
    "warm_start": (
        "warm_start_law",
        ["--schedule", "wsd", "--steps", "600", "--peak-lr", "1e-3", "--tokens-before", "1e8"],
        {"tokens_before": 1e8},
    ),
}


@pytest.mark.parametrize("law", LAWS_OF_EXAMPLES)
def test_a_law_with_a_new_input_is_fitted_predicted_diagnosed_designed_with_and_listed(tmp_path, capsys, law):
    """What docs/laws.md does, by the commands: the law and its input are one file."""
    name, question, one_level = LAWS_OF_EXAMPLES[law]
    plugin = ["--plugin", str(EXAMPLES / f"{name}.py")]
    frame, truth = samples.OF_EXAMPLES[law]()
    runs, fit = str(tmp_path / "runs.csv"), str(tmp_path / "fit.json")
    frame.to_csv(runs, index=False)

    def answer(*words: str) -> dict:
        assert main([*words, "--json", *plugin]) == 0
        return json.loads(capsys.readouterr().out)

    found = answer("fit", law, runs, "-o", fit, "--bootstrap", "20", "--starts", "4")
    assert found["status"] == "converged"
    for constant, value in truth.items():
        assert found["params"][constant] == pytest.approx(value, rel=0.05), constant
    predicted = answer("predict", fit, *question)
    assert predicted["low"] < predicted["value"] < predicted["high"]
    assert main(["predict", fit, *question[:-2], *plugin]) == 2
    assert f"give {question[-2]}" in capsys.readouterr().err
    frame.assign(**one_level).to_csv(runs, index=False)
    assert main(["fit", law, runs, "--bootstrap", "0", "--starts", "4", *plugin]) == 3
    assert "unidentified" in capsys.readouterr().err
    listed = answer("laws", law)[law]
    assert set(truth) == set(listed["params"])
    if law == "warm_start":
        shape = ["--steps", "600", "--peak-lr", "1e-3", "--knots", "4"]
        designed = answer("design", "schedule", fit, *shape, "--tokens-before", "1e8")
        assert all(
            gain["predicted"] > 0 for name, gain in designed["schedules"][0]["gains"].items() if "wsd" not in name
        )


def _install(folder: Path, monkeypatch: pytest.MonkeyPatch, points: str, modules: dict[str, str]) -> None:
    """A distribution as pip leaves it: modules and entry points."""
    for name, content in modules.items():
        (folder / f"{name}.py").write_text(content)
    about = folder / "acme_laws-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-laws\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(points)
    monkeypatch.syspath_prepend(str(folder))
    plugins._installed.cache_clear()


def test_an_installed_row_is_imported_when_it_is_looked_up(tmp_path, monkeypatch):
    law = (EXAMPLES / "depth_law.py").read_text().replace('"depth"', '"acme_depth"')
    points = (
        "[jaxlaws.laws]\nacme_depth = acme_depth_law\n[jaxlaws.schedules]\nsawtooth = acme_saw\nbroken = acme_nowhere\n"
    )
    saw = (EXAMPLES / "sawtooth.py").read_text()
    _install(tmp_path, monkeypatch, points, {"acme_depth_law": law, "acme_saw": saw})
    assert "chinchilla" in LAWS
    assert "acme_depth_law" not in sys.modules, "nothing is imported for a name of ours"
    assert LAWS["acme_depth"].names == ("E", "A", "alpha", "G", "gamma")
    assert "acme_depth" in list(LAWS)
    assert FAMILIES.added() == ["broken", "sawtooth"]
    assert "acme_saw" not in sys.modules, "the names of rows are known without importing them"
    assert "sawtooth" in FAMILIES
    with pytest.raises(BadInput, match=r"acme_nowhere of acme-laws cannot be loaded \(ModuleNotFoundError"):
        "broken" in FAMILIES  # noqa: B015


def test_a_fit_never_loads_code_and_says_which_law_it_misses(tmp_path, capsys):
    fit = {"kind": "jaxlaws.fit", "law": "acme_law", "convention": {}, "noise": "huber", "params": {"E": 1.0}}
    path = tmp_path / "fit.json"
    path.write_text(json.dumps(fit | {"status": "converged"}))
    assert main(["predict", str(path), "--params", "1e9"]) == 2
    said = capsys.readouterr().err
    assert "acme_law" in said
    assert "--plugin FILE.py" in said


def test_nothing_is_looked_for_where_every_name_is_ours():
    code = "from jaxlaws.cli import main; main(['recommend', '--params', '7e9', '--tokens', '1.4T', '--json'])"
    code += "\nfrom jaxlaws import plugins; assert plugins._installed.cache_info().currsize == 0"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.slow
def test_an_installed_wheel_uses_an_installed_plugin_outside_the_checkout(tmp_path):
    """The examples as modules of a distribution with entry points, beside a wheel of this package."""
    acme, site, away = (tmp_path / name for name in ("acme", "site", "away"))
    (acme / "acme").mkdir(parents=True)
    away.mkdir()
    (acme / "acme" / "__init__.py").touch()
    groups = {"laws": {"depth": "depth_law", "warm_start": "warm_start_law"}, "schedules": {"sawtooth": "sawtooth"}}
    groups |= {
        part: {name: name} for part, name in (("optimizers", "signum"), ("models", "bigram"), ("data", "numerals"))
    }
    about = ["[build-system]", 'requires = ["hatchling"]', 'build-backend = "hatchling.build"']
    about += ["[project]", 'name = "acme"', 'version = "1.0"']
    for group, rows in groups.items():
        about += [
            f'[project.entry-points."jaxlaws.{group}"]',
            *(f'{row} = "acme.{file}"' for row, file in rows.items()),
        ]
    (acme / "pyproject.toml").write_text("\n".join(about))
    for path in EXAMPLES.glob("*.py"):
        (acme / "acme" / path.name).write_text(path.read_text())
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(site)]
    made = subprocess.run([*install, str(EXAMPLES.parent.parent), str(acme)], capture_output=True, text=True)
    if "No matching distribution found for hatchling" in made.stderr:
        pytest.skip("the build backend hatchling is neither here nor to be had without a network")
    assert made.returncode == 0, made.stderr

    def run(*words: str) -> str:
        environment = {**os.environ, "PYTHONPATH": str(site), "JAXLAWS_CACHE": str(tmp_path / "cache")}
        done = subprocess.run([sys.executable, *words], cwd=away, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert str(site) in run("-c", "import jaxlaws; print(jaxlaws.__file__)")
    command = ("-m", "jaxlaws")
    assert {"depth", "warm_start", "chinchilla"} <= set(json.loads(run(*command, "laws", "--json")))
    samples.depth_runs()[0].to_csv(away / "runs.csv", index=False)
    few = ("--bootstrap", "20", "--starts", "4")
    assert (
        json.loads(run(*command, "fit", "depth", "runs.csv", *few, "-o", "fit.json", "--json"))["status"] == "converged"
    )
    run(*command, "predict", "fit.json", "--params", "2e8", "--n-layers", "24")
    run(*command, "schedule", "sawtooth", "--steps", "100", "--peak-lr", "1e-3")
    asked = [override for _, override in TRAINED.values()]
    run(*command, "train", *asked, "steps=10", "batch_tokens=512", "optimizer.peak_lr=1e-3", "out=runs")
    assert json.loads(next(away.glob("runs/*/run.json")).read_text())["optimizer"] == "signum"
