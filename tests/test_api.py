"""The public names of `import jaxlaws`: a static list, typed, documented by examples, whatever was imported before."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

import jaxlaws
from jaxlaws.errors import BadInput

PACKAGE = Path(jaxlaws.__file__).parent
FUNCTIONS = [name for name in jaxlaws.__all__ if inspect.isfunction(getattr(jaxlaws, name))]


def test_names_are_static_typed_and_found():
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    listed = next(node.value for node in tree.body if isinstance(node, ast.Assign) and node.targets[0].id == "__all__")
    typed = next(node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    imported = {alias.name: node.module for node in typed.body for alias in node.names}
    assert ast.literal_eval(listed) == sorted(imported)
    assert imported == {**jaxlaws._HOME, "laws": "jaxlaws"}
    assert {"__version__", *jaxlaws.__all__} <= set(dir(jaxlaws))
    assert (PACKAGE / "py.typed").exists()
    with pytest.raises(AttributeError, match="no attribute 'lawz'"):
        _ = jaxlaws.lawz


def test_functions_stay_functions_whatever_is_imported():
    """No package has the name of a public function, which its import would put in the function's place."""
    assert not {name for name in FUNCTIONS if (PACKAGE / name).exists() or (PACKAGE / f"{name}.py").exists()}
    code = (
        "import pkgutil, importlib, jaxlaws\n"
        "for found in pkgutil.walk_packages(jaxlaws.__path__, 'jaxlaws.'):\n"
        "    if '__main__' not in found.name: importlib.import_module(found.name)\n"
        f"assert all(callable(getattr(jaxlaws, name)) for name in {FUNCTIONS})\n"
        "assert jaxlaws.laws.LAWS['opl'].kind == 'curve'\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_shows_an_example(name):
    """tests/test_docs_commands.py runs it."""
    assert f"jaxlaws.{name}(" in inspect.getdoc(getattr(jaxlaws, name)).partition("Args:")[0]


@pytest.mark.parametrize(
    ("spec", "more", "told"),
    [
        ("wds", {}, "unknown schedule 'wds'"),
        ("wsd(cool=1)", {}, "unknown field of wsd"),
        ("wsd", {"warmup_steps": 101}, "the warm-up has 101 steps"),
        ("wsd", {"peak_lr": -1.0}, "expected a finite number above zero"),
        ("table(file=x.csv)", {"warmup_steps": 3}, "leave out warmup_steps"),
    ],
)
def test_a_schedule_that_cannot_be_is_bad_input(spec, more, told):
    with pytest.raises(BadInput, match=told):
        jaxlaws.schedule(spec, **{"steps": 100, "peak_lr": 1e-3, **more})


def test_a_run_is_trained_once_and_refused_as_the_command_does(tmp_path, capsys):
    asked = ["model=6k", "steps=12", "batch_tokens=512", f"out={tmp_path}"]
    first = jaxlaws.train(*asked)
    assert jaxlaws.train(*asked) == first
    assert capsys.readouterr().out == ""
    assert np.isfinite(first["val_loss_nats"])
    assert list(jaxlaws.collect(tmp_path).table["steps"]) == [12]
    with pytest.raises(BadInput, match="several values"):
        jaxlaws.train(*asked, "seed=0,1")
    with pytest.raises(BadInput, match="unknown config key"):
        jaxlaws.train("optimizer.pek_lr=3")
    with pytest.raises(BadInput, match="without effect"):
        jaxlaws.train(*asked, "optimizer=sgd", "optimizer.beta1=.5")
    assert jaxlaws.train(*asked, "optimizer.peak_lr=1e30")["status"] == "diverged"


def test_plots_of_fits_schedules_and_runs(tmp_path):
    lr = jaxlaws.schedule("wsd", 100, 1e-3)
    picture = tmp_path / "wsd.svg"
    assert jaxlaws.plot(lr, picture).axes[0].lines[0].get_ydata() == pytest.approx(lr)
    assert "<svg" in picture.read_text()
    with pytest.raises(BadInput, match=r"ends with \.png"):
        jaxlaws.plot(lr, tmp_path / "wsd.txt")
    assert jaxlaws.plot(jaxlaws.design("multi_power:25M", 200, 3e-4, 10, knots=2, starts=2)).axes


@pytest.mark.parametrize(
    ("ask", "told"),
    [
        (lambda: jaxlaws.fit("chinchilla", None), "the data are NoneType, expected runs"),
        (lambda: jaxlaws.fit("chinchilla", np.ones((9, 3))), "the data are ndarray, expected runs"),
        (lambda: jaxlaws.fit(None, {}), "unknown law 'None'"),
        (lambda: jaxlaws.fit(["chinchilla"], {}), "unknown law"),
        (lambda: jaxlaws.plot(3), "the data are int"),
        (lambda: jaxlaws.plot(np.ones((2, 3))), r"expected to have the shape \[steps\]"),
        (lambda: jaxlaws.plot(np.full(3, np.nan)), "a finite LR"),
        (lambda: jaxlaws.compare(["a", "b"]), "compare got a list, expected names with their fits"),
    ],
)
def test_what_is_of_another_type_is_bad_input(ask, told):
    with pytest.raises(BadInput, match=told):
        ask()


LR = np.linspace(1e-3, 1e-4, 50)


@pytest.mark.parametrize(
    ("name", "arguments", "keywords", "words"),
    [
        ("optimum", ("chinchilla:epoch",), {"flops": "1e21"}, "flops is '1e21', expected a number"),
        ("optimum", ("chinchilla:epoch",), {"flops": True}, "flops is True, expected a number"),
        ("optimum", ("chinchilla:epoch",), {"flops": [1e21, 2e21]}, "expected one number"),
        ("optimum", ("chinchilla:epoch",), {"loss": 1j}, "loss is 1j, expected a number"),
        ("optimum", ("chinchilla:epoch",), {"flops": 1e21, "served_tokens": None}, "served_tokens is None"),
        ("cross", ("chinchilla:epoch", "chinchilla:hoffmann"), {"before": "x"}, "before is 'x', expected a number"),
        ("predict", ("chinchilla:epoch",), {"params": 1e9, "tokens": "1e9"}, "tokens is '1e9', expected a positive"),
        ("design", ("multi_power:25M", "1000", 3e-4), {}, "steps is '1000', expected a number"),
        ("design", ("multi_power:25M", {}, 3e-4), {}, "steps is {}, expected a number"),
        ("design", ("multi_power:25M", [], 3e-4), {}, "expected the steps of one horizon or more"),
        ("design", ("multi_power:25M", 1000.5, 3e-4), {}, "steps is 1000.5, expected a whole number"),
        ("design", ("multi_power:25M", 1000, None), {}, "peak_lr is None, expected numbers"),
        ("design", ("multi_power:25M", 1000, (1e-4,)), {}, "expected one number or the two ends of a range"),
        ("design", ("multi_power:25M", 1000, 3e-4, "1"), {}, "warmup_steps is '1', expected a number"),
        ("design", ("multi_power:25M", 1000, 3e-4), {"knots": 2.5}, "knots is 2.5, expected a whole number"),
        ("design", ("multi_power:25M", 1000, 3e-4), {"weights": ["a"]}, r"weights is \['a'\], expected numbers"),
        ("design", ("multi_power:25M", 1000, 3e-4), {"starts": 0}, "starts is 0, expected at least one"),
        ("schedule", ("wsd", None, 3e-4), {}, "steps is None, expected a number"),
        ("schedule", ("wsd", 100, "3e-4"), {}, "peak_lr is '3e-4', expected a number"),
        ("schedule", ("wsd", 100, 3e-4, 2.5), {}, "warmup_steps is 2.5, expected a whole number"),
        ("schedule", (None, 100, 3e-4), {}, r"the schedule is None, expected NAME or NAME\(key=value"),
        ("bound", ("x",), {}, "lr is 'x', expected numbers"),
        ("bound", ([[1], [1, 2]],), {}, "expected numbers"),
        ("bound", (LR, [1, 2]), {}, r"gradient_norm has the shape \(2,\)"),
        ("bound", (LR, 1.0, None), {}, "distance is None, expected a number"),
        ("to_optax", (None,), {}, "lr is None, expected numbers"),
        ("to_optax", ([[1.0, 2.0]],), {}, r"expected to have the shape \[steps\]"),
        ("to_optax", ([np.nan],), {}, "a finite LR at every step"),
    ],
)
def test_what_is_no_number_is_refused_in_one_sentence(name, arguments, keywords, words):
    with pytest.raises(BadInput, match=words):
        getattr(jaxlaws, name)(*arguments, **keywords)


def test_numbers_of_any_kind_are_numbers():
    """An integer of Python has no bound, and one of numpy or JAX is a count too."""
    assert jaxlaws.optimum("chinchilla:epoch", 10**21).loss == jaxlaws.optimum("chinchilla:epoch", 1e21).loss
    same = (jaxlaws.schedule("wsd", steps, 1e-3, 5) for steps in (100, 100.0, np.int64(100), jnp.asarray(100)))
    first, *others = same
    assert all(np.array_equal(first, other) for other in others)
