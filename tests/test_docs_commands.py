"""Every command and snippet that pages, docstrings and recipes print is run, tried as a dry run, or parsed."""

from __future__ import annotations

import doctest
import importlib
import io
import json
import re
import runpy
import shlex
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from importlib.util import find_spec
from pathlib import Path

import documented
import numpy as np
import pandas as pd
import pytest
from documented import PAGES, RECIPES, ROOT, SOURCES, Command
from samples import OF_EXAMPLES, hydra_multirun, lightning_logs, lr_batch_runs, schedules, wandb_export

from jaxlaws import cli
from jaxlaws.cli import main
from jaxlaws.cli.train import FLAGS, INSTEAD
from jaxlaws.records.run import RunDir
from jaxlaws.request import checked

#: What the reader fills in → what the world of this test has for it.
READER = {
    **{"SWEEP": "sweeps/lr_batch", "sweeps/NAME": "sweeps/lr_batch", "LAW": "step_law", "SOURCE": "runs.csv"},
    **{"DIR": "shards", "/data/shards": "shards", "/sweeps/lr_batch": "sweeps/lr_batch", "$I/$N": "1/8"},
    **{"/data/runs": "runs", "/shared/runs": "runs", "quickstart/cells": "sweeps/lr_batch"},
    **{f"{group}=./mine.yaml": f"{group}=own/conf/{group}/mine.yaml" for group in ("sweep", "model")},
    **{"FILE_OR_FOLDER": "books", "i/n": "1/8", "sweep=NAME": "sweep=ladder", "model=NAME": "model=6k"},
    **{"max_runs=N": "max_runs=9", "FIT": "multi_power:25M", "FILE|SPEC": "cosine", "SCHEDULE": "cosine"},
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory with what the pages take for granted: two sweeps that have ended, texts, and the sources."""
    folder = tmp_path_factory.mktemp("world")
    for name in ("experiments", "tests", "docs", "constraints.txt", "pyproject.toml"):
        (folder / name).symlink_to(ROOT / name)
    _lr_batch(folder / "sweeps" / "lr_batch")
    _schedules(folder / "sweeps" / "schedules")
    _texts(folder)
    assert main(["collect", str(folder / "sweeps" / "lr_batch"), "-o", str(folder / "runs.csv")]) == 0
    wandb_export().to_csv(folder / "wandb.csv", index=False)
    wandb_export().rename(columns={"val/loss": "val/ce"}).to_csv(folder / "ce.csv", index=False)
    (folder / "mlruns" / "0").mkdir(parents=True)
    (folder / "mlruns" / "0" / "meta.yaml").write_text("name: Default\n")
    hydra_multirun(folder / "multirun")
    lightning_logs(folder / "lightning_logs")
    sizes, ratios = np.meshgrid([190, 370, 760, 1300], [1, 2, 5, 10])
    names = [f"{n}M-{ratio}xC" for n, ratio in zip(sizes.ravel(), ratios.ravel(), strict=True)]
    tokens = (sizes * ratios * 2e7).ravel()
    loss = 1.8 + 480 / (sizes * 1e6).ravel() ** 0.35 + 2000 / tokens**0.37
    pd.DataFrame({"name": names, "tokens": tokens, "loss": loss}).to_csv(folder / "named.csv", index=False)
    for law, runs in OF_EXAMPLES.items():
        runs()[0].to_csv(folder / f"{law}.csv", index=False)
    assert main(["data", str(folder / "books"), "-o", str(folder / "shards")]) == 0
    assert main(["init", str(folder / "own")]) == 0
    (folder / "lr.py").write_text("import optax\n\nschedule = optax.cosine_decay_schedule(3e-3, 1000)\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("JAXLAWS_CACHE", str(folder / "cache"))
        yield folder


def _run(folder: Path, lr: np.ndarray, points: list[tuple[int, float]], record: dict) -> None:
    run = RunDir(folder)
    run.ask({"steps": len(lr)}, lr)
    assert run.claim()
    run.start_curve()
    for step, loss in points:
        run.add_point({"step": step, "lr": lr[step - 1], "train_loss": loss, "val_loss": loss})
    run.finish({"status": "ok", "steps": len(lr), "val_loss_nats": points[-1][1], "flops_exact": 1e9, **record})


def _lr_batch(folder: Path) -> None:
    """The sweep of `lr_batch_runs` as a directory."""
    for name, row in lr_batch_runs().iterrows():
        steps = int(row["steps"])
        whole = {key: int(row[key]) for key in ("params_nonembedding", "tokens", "batch_tokens", "seq_len")}
        record = {
            **whole,
            **{"batch_sequences": whole["batch_tokens"] // 128, "params_total": whole["params_nonembedding"] + 16_384},
            **{"peak_lr": row["peak_lr"], "schedule": "cosine", "warmup_steps": steps // 20, "seconds": 3.0},
        }
        _run(folder / str(name), np.full(steps, row["peak_lr"]), [(steps, row["val_loss_nats"])], record)


def _schedules(folder: Path) -> None:
    """Curves of the bound law and noise, four schedules of 3,000 steps."""
    from jaxlaws.fitting.predict import predict

    for number, (name, lr) in enumerate(schedules().items()):
        at = np.linspace(300, len(lr), 28).astype(int)
        loss = np.asarray(predict("multi_power:25M", lr=lr, warmup_steps=150, at=at - 1).value)
        loss = loss * np.exp(np.random.default_rng(number).normal(0, 1e-3, len(at)))
        record = {
            **{"params_nonembedding": 25_248, "tokens": len(lr) * 512, "batch_tokens": 512, "peak_lr": lr.max()},
            **{"warmup_steps": 150, "cooldown_fraction": 0.95 if name == "cosine" else 0.3},
        }
        _run(folder / name, lr, list(zip(at.tolist(), loss.tolist(), strict=True)), record)


def _texts(folder: Path) -> None:
    """What docs/data.md tokenizes: a folder of texts, rows of JSON, Parquet."""
    words = [f"{word} lies on the table beside another {word}. " * 4000 for word in ("a book", "bread", "the red pen")]
    (folder / "books").mkdir()
    for number, text in enumerate(words):
        (folder / "books" / f"{number}.txt").write_text(text)
    (folder / "fineweb").mkdir()
    rows = "".join(json.dumps({"text": text}) + "\n" for text in words)
    (folder / "fineweb" / "part.jsonl").write_text(rows)


def _parser(command: str):
    parser = cli._Parser(prog=f"jaxlaws {command}")
    importlib.import_module(f"jaxlaws.cli.{command}").add_arguments(parser)
    return parser


def _parsed(words: list[str]) -> None:
    """The command exists, and its parser or its configuration accepts the arguments."""
    if words[1] == "train":
        assert main([*words[1:], "--cfg", "job"]) == 0
    else:
        _parser(words[1]).parse_args(words[2:])


def _mention(words: list[str]) -> None:
    """The command exists, and has the options that are named."""
    assert words[1] in cli.COMMANDS, words
    assert {word for word in words[2:] if word.startswith("-")} <= known(words[1]), words


def known(command: str) -> set[str]:
    """The options of a command and of its subcommands."""
    if command == "train":
        return {*FLAGS, "--dry-run", "-o"}
    waiting, names = [_parser(command)], set()
    while waiting:
        for action in waiting.pop()._actions:
            names |= set(action.option_strings)
            waiting += getattr(action, "choices", None).values() if isinstance(action.choices, dict) else ()
    return names


def _dry(words: list[str]) -> None:
    assert main([*words[1:], *([] if "--dry-run" in words else ["--dry-run"])]) == 0


def _run_command(words: list[str]) -> None:
    assert main(words[1:]) == 0


def _module(words: list[str]) -> None:
    sys.modules.pop(words[2], None)  # another test may have imported it
    runpy.run_module(words[2], run_name="__main__", alter_sys=True)


def _script(words: list[str]) -> None:
    """The script is there, and reads the options that are given."""
    text = (ROOT / words[1]).read_text()
    assert all(f'"{option}"' in text for option in re.findall(r"--[\w-]+", " ".join(words[2:]))), words


def _code(words: list[str]) -> None:
    compile(words[2], "python -c", "exec")


def _pip(words: list[str]) -> None:
    """The extras are declared, and the files are there."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for word in words[2:]:
        for group in re.findall(r"\[(.*)\]", word):
            assert set(group.split(",")) <= set(extras), word
        assert not word.endswith(".txt") or (ROOT / word).is_file()


def _pytest(words: list[str]) -> None:
    """The files are there, and where a word selects tests one of them has it in its name."""
    files = [ROOT / word for word in words if word.startswith("tests")]
    assert all(path.exists() for path in files), words
    if "-k" in words:
        names = re.findall(r"^def (test_\w+)|ids=\[(.*)\]|@pytest.mark.parametrize\((.*)", files[0].read_text(), re.M)
        assert any(words[words.index("-k") + 1] in "".join(name) for name in names), words


def _foreign(words: list[str]) -> None:
    """A program of others, whose own commands in quotation marks are looked at."""
    for word in words:
        if word.startswith("--command="):
            for part in Command("", word.removeprefix("--command="), "block").parts():
                treat(part)


#: Beginning of a command → how it is accounted for, and why not run where it is not. The first that matches holds.
TREATMENT: list[tuple[str, str, Callable[[list[str]], None]]] = [
    (r"jaxlaws train .*engine\.distributed=true", "parsed: needs several processes", _parsed),
    (r"jaxlaws (train|recommend .*--verify)", "dry", _dry),
    (r"jaxlaws (quickstart|bench)", "parsed: minutes of training, which have tests of their own", _parsed),
    (r"jaxlaws data (org/|.* --tokenizer gpt2)", "parsed: needs a network", _parsed),
    (r"jaxlaws .*(wandb|mlflow):", "parsed: needs a network; tests/test_trackers.py has stand-ins", _parsed),
    (r"jaxlaws ", "run", _run_command),
    (r"python -m jaxlaws ", "run", lambda words: _run_command(words[2:])),
    (r"python -m ", "run", _module),
    (r"python experiments/", "parsed: minutes of work", _script),
    (r"python -c ", "parsed: a measurement", _code),
    (r"pip install ", "parsed: needs a network", _pip),
    (r"pytest ", "parsed: these tests", _pytest),
    (r"(python3 -m venv|\.|cd|git|gcloud|sky) ", "parsed: a program of others", _foreign),
]


def treat(words: list[str]) -> str:
    """Account for one command; how it was."""
    words = documented.filled(words, READER)
    if words[:2] == ["python", "experiments/train.py"]:
        words = ["jaxlaws", "train", *words[2:]]
    for pattern, how, treatment in TREATMENT:
        if re.match(pattern, " ".join(words) + " "):
            assert "…" not in " ".join(words), "it cannot be pasted"
            treatment(words)
            return how
    raise AssertionError("it is neither run nor dry nor parsed: add it to TREATMENT")


def _all(commands: list[Command]) -> None:
    wrong = []
    for command in dict.fromkeys(commands):
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()) as errors:
            try:
                if command.mention and command.text.startswith("jaxlaws "):
                    _mention(command.text.split())
                    continue
                for words in command.parts():
                    treat(words)
            except Exception as error:
                wrong.append(f"{command.where}: {command.text}\n    {error!r} {errors.getvalue()}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.usefixtures("own_tables")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_of_a_page(world: Path, page: Path):
    assert "unknown" not in {documented.kind(block) for block in documented.blocks(page.read_text())}
    _all(documented.of_page(page))


def test_commands_of_recipes(world: Path):
    _all([command for path in RECIPES for command in documented.of_comments(path)])


def test_commands_of_docstrings(world: Path):
    _all([command for path in SOURCES for command in documented.of_docstrings(path)])


@pytest.mark.parametrize("page", [page for page in PAGES if documented.refused(page)], ids=lambda page: page.stem)
def test_refusals_that_a_page_shows(world: Path, page: Path, capsys: pytest.CaptureFixture[str]):
    for command, told in documented.refused(page):
        assert main(documented.words(command)[1:]) == 2, command
        assert told in capsys.readouterr().err


#: Keys that a page names → what they are given with; those without which `jaxlaws train` refuses them.
GIVEN_WITH = {
    "data=shards": ["data.path=shards"],
    "data.documents=true": ["data=shards", "data.path=shards"],
    **{key: ["--config-dir", "own/conf"] for key in ("model=mine", "sweep=./mine.yaml", "+experiment=first")},
}
#: Keys that a page names → a word of the sentence that refuses them, as the page says, or why they are parsed only.
REFUSED = {
    "-m schedule=cosine schedule.cooldown=.1,.2": "does not read it",
    "engine.attention=cudnn": "needs a GPU",
    "sweep.strategy=…": "not an override",
    "hydra.run.dir=DIR": "is of a single run, and this is a sweep",
}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_keys_that_a_page_names(world: Path, page: Path, capsys: pytest.CaptureFixture[str]):
    """The page on sweeps as dry runs, the keys of other pages as a config that composes."""
    for text in documented.overrides(page):
        words = documented.filled([*documented.words(text.removeprefix("-m ")), *GIVEN_WITH.get(text, [])], READER)
        if text in REFUSED or page.stem == "sweeps":
            code = main(["train", "-m", *words, "--dry-run"])
            said = capsys.readouterr().err
            assert code == (2 if text in REFUSED else 0), f"{text}: {said}"
            assert REFUSED.get(text, "") in said
        else:
            assert checked(words)


def test_options_that_pages_name_exist():
    options = set().union(*map(known, cli.COMMANDS)) | {"--version", "--env", *INSTEAD}  # --env is of SkyPilot
    options |= {"--plugin", "--n-layers", "--data"}  # of every command, of the input of a plug-in, of the atlas
    for page in PAGES:
        named = {span.split()[0].split("=")[0] for span in documented.spans(page.read_text()) if span.startswith("--")}
        assert named <= options, page.name


#: Command → one with all that it needs, in which the help's examples of its arguments are tried.
BASE = {
    "status": "SWEEP",
    "collect": "SWEEP",
    "fit": "step_law wandb.csv --set seq_len=2048",
    "fit --map": "step_law ce.csv --set seq_len=2048",
    "fit --name": "chinchilla named.csv --bootstrap 20 --force",
    "fit --train": "bound sweeps/schedules --force",
    "optimum": "chinchilla:epoch --flops 1e21",
    "optimum --loss": "chinchilla:epoch",
    "cross": "chinchilla:epoch chinchilla:hoffmann",
    "predict": "FIT --schedule cosine --steps 2000 --peak-lr 3e-4",
    "predict --params": "chinchilla:epoch --params 7B --tokens 1.4T",
    "predict --tokens": "chinchilla:epoch --params 7B",
    "schedule": "FILE|SPEC --steps 2000 --peak-lr 3e-4",
    "design schedule": "FIT --steps 2000 --peak-lr 3e-4 --family wsd",
    "design cooldown": "FIT --horizons 2000 --peak-lr 3e-4",
    "design extend": "FIT --schedule wsd --steps 2000 --peak-lr 3e-4 --to 4000",
    "bound": "SCHEDULE --steps 2000",
    "recommend": "--params 7e9 --tokens 1.4T",
}


def _helps() -> Iterator[tuple[str, str, str]]:
    """(command, option or the name of a positional, its help) of every command."""
    waiting = [(name, _parser(name)) for name in cli.COMMANDS if name != "train"]
    while waiting:
        name, parser = waiting.pop(0)
        for action in parser._actions:
            if isinstance(action.choices, dict):
                waiting += [(f"{name} {what}", sub) for what, sub in action.choices.items()]
            elif action.help:
                yield name, action.option_strings[0] if action.option_strings else str(action.metavar), action.help


def _examples() -> list[tuple[str, str, str]]:
    """(command, argument, value) for every value that a help gives after `such as`, once for the same help."""
    value = r"('[^']+'|[^\s;,]*[\d/=:][^\s;,]*)"
    found = []
    for text, (command, argument) in {
        text: (command, argument) for command, argument, text in reversed([*_helps()])
    }.items():
        for values in re.findall(rf"(?<!\()such as {value}(?: or {value})?", text):
            found += [(command, argument, item.strip("'")) for item in values if item]
    return found


def test_commands_of_helps(world: Path):
    _all(
        [
            Command(f"jaxlaws {name} --help", span, "docstring")
            for name, _, text in _helps()
            for span in documented.spans(text)
            if " " in span
        ]
    )


@pytest.mark.parametrize(("command", "argument", "value"), _examples())
def test_examples_of_helps(world: Path, command: str, argument: str, value: str):
    base = shlex.split(BASE.get(f"{command} {argument}", BASE.get(command, "")))
    option = [argument, value] if argument.startswith("-") else []
    words = base if option else [value if word == argument else word for word in base]
    assert main(documented.filled([*command.split(), *words, *option], READER)) == 0


@pytest.mark.parametrize("path", [path for path in (*PAGES, *SOURCES) if ">>> " in path.read_text()], ids=str)
def test_snippets_print_what_they_say(world: Path, path: Path):
    text = path.read_text()
    found = doctest.DocTestParser().get_doctest(text, {}, path.name, str(path), 0)
    assert doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(found).failed == 0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_python_of_pages(world: Path, page: Path):
    """What imports only what is installed is run, the rest compiled."""
    snippets = [block for block in documented.blocks(page.read_text()) if documented.kind(block) == "python"]
    code = compile("\n".join(snippets), page.name, "exec")
    if all(find_spec(name) for name in re.findall(r"^(?:import|from) (\w+)", "\n".join(snippets), re.M)):
        exec(code, {})
