"""Nothing is lost and nothing is trained twice, whatever happens to a sweep: kills, two launchers, runs that fail."""

import json
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jaxlaws.cli import main
from jaxlaws.records.run import run_dirs
from jaxlaws.training import run as training

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parent.parent
TINY = ["data=language", "data.vocab=16", "data.seq_len=16", "model=6k", "tokens=null", "eval.points=2"]
FORTY = ["-m", *TINY, "steps=1000", "optimizer.peak_lr=logspace(1e-3,2e-2,8)", "seed=range(5)", "sweep.name=forty"]
#: What a run's record says of time and place, which differ between machines and moments.
TIMING = ("seconds", "compile_seconds", "step_seconds", "tokens_per_second", "lanes", "mfu")


def start(folder: Path, *more: str) -> subprocess.Popen:
    command = [sys.executable, str(ROOT / "experiments" / "train.py"), *FORTY, "sweep.strategy=map", *more]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def results(folder: Path) -> dict[str, tuple[dict, str]]:
    runs = run_dirs(folder / "sweeps" / "forty")
    records = {run.name: {k: v for k, v in run.record().items() if k not in TIMING} for run in runs}
    return {run.name: (records[run.name], (run.path / "curve.csv").read_text()) for run in runs}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The same sweep, never interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    process = start(folder)
    process.communicate()
    assert process.returncode == 0
    return results(folder)


def test_killed_at_twenty_random_moments_it_is_the_sweep_that_was_never_killed(tmp_path, whole):
    moments = random.Random(0)
    sweep = tmp_path / "sweeps" / "forty"
    ended: dict[Path, tuple[int, str]] = {}
    kills = 0
    while kills < 20:
        process = start(tmp_path)
        before = set(sweep.glob("*/claim.json"))
        if moments.random() < 0.75:  # while it trains; otherwise anywhere, its start included
            while not set(sweep.glob("*/claim.json")) - before and process.poll() is None:
                time.sleep(0.01)
            time.sleep(moments.uniform(0, 1.5))
        else:
            time.sleep(moments.uniform(0, 6))
        if process.poll() is not None:
            break
        process.send_signal(signal.SIGKILL)
        process.communicate()
        kills += 1
        now = {path: (path.stat().st_mtime_ns, path.read_text()) for path in sweep.glob("*/run.json")}
        assert {path: now[path] for path in ended} == ended, "what has ended stays as it is"
        ended = now
    assert kills == 20, f"the sweep was over after {kills} kills: give its runs more steps"
    rest = start(tmp_path)
    out, _ = rest.communicate()
    assert rest.returncode == 0
    assert f"{40 - len(ended)} trained (0 diverged), {len(ended)} done before, 0 failed" in " ".join(out.split())
    assert results(tmp_path) == whole
    assert len(whole) == 40
    assert not list(sweep.glob("*/claim.json"))


def test_two_launchers_share_one_sweep_without_duplicates(tmp_path, whole):
    both = [start(tmp_path), start(tmp_path)]
    outs = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    trained = [int(re.search(r"(\d+) trained", out)[1]) for out in outs]  # type: ignore[index]
    assert sum(trained) == 40
    assert min(trained) > 0
    assert results(tmp_path) == whole
    asked = (tmp_path / "sweeps" / "forty" / "sweep.yaml").read_text()
    assert asked.count("asked") >= 1


#: The command with claims that are void after three seconds instead of two minutes.
IMPATIENT = """
import sys
from jaxlaws.cli import main
from jaxlaws.records import claim
from jaxlaws.sweep import complete, pack
claim.STALE, pack._BEAT_EVERY, complete.POLL_SECONDS = 3.0, 0.3, 0.2
sys.exit(main(sys.argv[1:]))
"""


def impatient(folder: Path) -> subprocess.Popen:
    command = [sys.executable, "-c", IMPATIENT, "train", *FORTY, "sweep.strategy=map"]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_process_that_was_paused_writes_nothing_more_and_the_other_result_stands(tmp_path, whole):
    sweep = tmp_path / "sweeps" / "forty"
    moments = random.Random(1)
    taken = 0
    for _ in range(5):
        paused = impatient(tmp_path)
        while not (held := list(sweep.glob("*/claim.json"))) and paused.poll() is None:
            time.sleep(0.01)
        time.sleep(moments.uniform(0, 0.3))
        paused.send_signal(signal.SIGSTOP)
        held = list(sweep.glob("*/claim.json"))
        other = impatient(tmp_path)
        out, err = other.communicate()
        assert other.returncode == 0, err
        ended = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in sweep.glob("*/[rc]u*")}
        paused.send_signal(signal.SIGCONT)
        own, said = paused.communicate()
        assert paused.returncode == 0, said
        assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in sweep.glob("*/[rc]u*")} == ended
        assert results(tmp_path) == whole
        trained = [int(re.search(r"(\d+) trained", text)[1]) for text in (out, own)]  # type: ignore[index]
        assert sum(trained) == 40, "each run was trained once"
        if held:
            assert f"waiting for {len(held)} runs held by" in err
            assert "whose heartbeat stands still" in err
            assert said.count("is no longer held by this process (it has ended)") == len(held)
        taken += len(held)
        shutil.rmtree(sweep)
    assert taken, "no pause met a run that was being trained"
    print(f"5 pauses, {taken} runs taken over; nothing was lost, doubled or changed")


def test_every_run_is_accounted_for_when_a_quarter_diverges_one_raises_and_one_does_not_fit(
    tmp_path, monkeypatch, capsys
):
    real = training.train_lanes

    def raises(program, data, lanes, *rest):
        lanes = list(lanes)
        if lanes[0].run.seed == 3 and lanes[0].run.optimizer.peak_lr == 2e-3:
            raise RuntimeError("the loader lost its disk")
        return real(program, data, lanes, *rest)

    monkeypatch.setattr(training, "train_lanes", raises)
    monkeypatch.chdir(tmp_path)
    common = ["train", "-m", *TINY, "steps=40", "sweep.strategy=map", "sweep.name=mixed"]
    lrs = ",".join(["1e-3,2e-3,4e-3", "1e30"])
    assert main([*common, f"optimizer.peak_lr={lrs}", "seed=0,1,2,3"]) == 1
    out, err = capsys.readouterr()
    states = [run.state() for run in run_dirs("sweeps/mixed")]
    assert {state: states.count(state) for state in set(states)} == {"ok": 11, "diverged": 4, "failed": 1}
    assert "failed: RuntimeError: the loader lost its disk" in err, "said when it happens"
    assert "15 trained (4 diverged), 0 done before, 1 failed" in out
    assert "failed: RuntimeError: the loader lost its disk" in out, "and again at the end"
    huge = ["model.width=8388608", "model.heads=1", "model.depth=1"]
    assert main([*common, *huge, "seed=0,1", "optimizer.peak_lr=1e-3"]) == 1
    out = " ".join(capsys.readouterr().out.split())
    assert "0 trained (0 diverged), 0 done before, 2 failed" in out
    assert "memory" in out.lower()
    main(["status", "sweeps/mixed", "--json"])
    answer = json.loads(capsys.readouterr().out)
    assert (answer["ok"], answer["diverged"], answer["failed"], answer["pending"]) == (11, 4, 3, 0)
    assert len(answer["failures"]) == 3
