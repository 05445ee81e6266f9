"""What TAB offers: commands, options, keys and choices, the user's own among them."""

import io
import subprocess

import argcomplete.io
import pytest
import yaml
from argcomplete import CompletionFinder

from jaxlaws.cli import COMMANDS, main, whole_parser
from jaxlaws.cli.completion import SHELLS, complete

#: Line as typed → what TAB offers, all of it or, with …, among others.
OFFERS = {
    "jaxlaws tr": "train",
    "jaxlaws co": "collect compare collapse completion",
    "jaxlaws train mod": "model. model=",
    "jaxlaws train model=2": "model=220k model=250m model=25k model=25m model=2m",
    "jaxlaws train -m model=6k,25": "model=6k,250m model=6k,25k model=6k,25m",
    "jaxlaws train schedule.cool": "schedule.cooldown=",
    "jaxlaws train model=6k +sweep=l": "+sweep=ladder +sweep=lr_batch",
    "jaxlaws train hydra/launcher=s": "hydra/launcher=slurm",
    "jaxlaws train --cfg ": "job hydra all …",
    "jaxlaws train --con": "--config-dir --config-name",
    "jaxlaws train --config-dir conf model=mi": "model=mine",
    "jaxlaws train --config-dir conf exp": "experiment=",
    "jaxlaws train --config-dir conf +experiment=": "+experiment=first",
    "jaxlaws train --config-dir nowhere model=25": "model=250m model=25k model=25m",
    "jaxlaws fit --boot": "--bootstrap",
    "jaxlaws completion z": "zsh",
    "jaxlaws fit multi": "multi_power",
    "jaxlaws laws step": "step_law",
    "jaxlaws predict multi_power:": "multi_power:25M multi_power:100M",
    "jaxlaws design schedule multi_power:2": "multi_power:25M",
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name, content in {"model/mine": {"width": 32}, "experiment/first": {"steps": 3}}.items():
        path = tmp_path / "conf" / f"{name}.yaml"
        path.parent.mkdir(parents=True)
        path.write_text(yaml.safe_dump(content))
    monkeypatch.chdir(tmp_path)


def offered(line: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    asked = {"_ARGCOMPLETE": "1", "COMP_LINE": line, "COMP_POINT": str(len(line)), "_ARGCOMPLETE_IFS": "\n"}
    for name, value in asked.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(CompletionFinder, "_init_debug_stream", lambda _: None)  # which takes descriptor 9
    monkeypatch.setattr(argcomplete.io, "debug_stream", io.StringIO())
    out, codes = io.StringIO(), []
    complete(whole_parser(line.split()), output_stream=out, exit_method=codes.append)
    assert codes == [0]
    return [text.strip() for text in out.getvalue().split("\n") if text]


@pytest.mark.parametrize(("line", "offers"), OFFERS.items())
def test_tab(folder, monkeypatch, line: str, offers: str):
    found = offered(line, monkeypatch)
    expected = [text for text in offers.split() if text != "…"]
    assert sorted(found) == sorted(expected) if "…" not in offers else set(expected) <= set(found)


def test_every_command_is_offered_with_options(monkeypatch):
    assert set(COMMANDS) <= set(offered("jaxlaws ", monkeypatch))
    bare = {name for name in COMMANDS if set(offered(f"jaxlaws {name} --", monkeypatch)) == {"--help", "--plugin"}}
    assert bare == {"completion", "init", "design"}
    assert "cooldown" in offered("jaxlaws design ", monkeypatch)


@pytest.mark.parametrize("shell", SHELLS)
def test_the_line_of_the_readme_installs_it(capsys, shell: str):
    assert main(["completion", shell]) == 0
    printed = capsys.readouterr().out
    assert "jaxlaws" in printed
    if shell == "bash":
        ran = subprocess.run(
            ["bash", "-c", 'eval "$1"; complete -p jaxlaws', "-", printed], capture_output=True, text=True
        )
        assert "jaxlaws" in ran.stdout, ran.stderr
