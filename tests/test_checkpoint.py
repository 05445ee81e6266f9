"""Checkpoints are whole or absent and come back bit for bit, whatever ends the process that wrote them."""

import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxlaws.errors import BadInput
from jaxlaws.training.checkpoint import Checkpoints
from jaxlaws.training.checksum import checksums
from jaxlaws.training.preemption import Preempted, preemptible, stop_asked

ROOT = Path(__file__).resolve().parent.parent
KEY = jax.random.key(0)


def state(scale: float = 1.0):
    """Leaves of every kind that a training state has."""
    normal = scale * jax.random.normal(KEY, (1, 33, 5))
    return {"params": {"w": normal, "half": normal.astype(jnp.bfloat16)}, "step": (jnp.full((1,), 7, jnp.int32), ())}


def trace(done: int) -> np.ndarray:
    return np.where(np.arange(100) < done, np.linspace(0, 1, 400).reshape(4, 100), np.nan)


def same(a, b) -> bool:
    return jax.tree.structure(a) == jax.tree.structure(b) and all(
        x.dtype == y.dtype and np.asarray(x).tobytes() == np.asarray(y).tobytes()
        for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    )


def saved(folder, *steps: int, **options) -> Checkpoints:
    checkpoints = Checkpoints(folder, 1e9, **options)
    for step in steps:
        checkpoints.save(step, state(step), trace(step))
    checkpoints.close()
    return checkpoints


def test_what_was_saved_comes_back_bit_for_bit_and_the_last_few_are_kept(tmp_path):
    assert Checkpoints(tmp_path / "none", 1).restore(state(), trace(0))[0] == 0
    saved(tmp_path / "c", 16, 32, 48, keep=2)
    assert {path.name for path in (tmp_path / "c").iterdir() if path.name.isdigit()} == {"32", "48"}
    again = Checkpoints(tmp_path / "c", 1e9, keep=2)
    step, got, record = again.restore(jax.tree.map(jnp.zeros_like, state()), trace(0))
    assert step == again.latest() == 48
    assert same(got, state(48))
    assert record.tobytes() == trace(48).tobytes()
    again.remove()
    assert not (tmp_path / "c").exists()


def test_a_state_that_changes_while_it_is_saved_is_saved_as_it_was(tmp_path):
    step = jax.jit(lambda tree: jax.tree.map(lambda x: (x + 1).astype(x.dtype), tree), donate_argnums=0)
    big = {"w": jnp.arange(2_000_000.0)}
    checkpoints = Checkpoints(tmp_path, 1e9)
    checkpoints.save(16, big, trace(16))
    for _ in range(20):
        big = step(big)
    checkpoints.close()
    _, got, _ = Checkpoints(tmp_path, 1e9).restore(big, trace(0))
    assert same(got, {"w": jnp.arange(2_000_000.0)})


def test_when_the_next_one_is_due(tmp_path):
    never = Checkpoints(tmp_path, 1e9)
    assert not never.due(10**6)
    assert Checkpoints(tmp_path, 0.0).due(1)
    steps = Checkpoints(tmp_path, 1e9, 40)
    assert [step for step in range(16, 200, 16) if steps.due(step) and not steps.save(step, state(), trace(0))] == [
        48,
        80,
        128,
        160,
    ]
    steps.close()


def test_a_save_that_orbax_declines_is_an_error(tmp_path):
    checkpoints = saved(tmp_path, 32)
    again = Checkpoints(tmp_path, 1e9)
    with pytest.raises(RuntimeError, match=r"did not save step 16 into .* has step 32"):
        again.save(16, state(), trace(16))
    again.close()
    checkpoints.close()


def test_a_half_written_one_is_none(tmp_path):
    saved(tmp_path, 16)
    shutil.copytree(tmp_path / "16", tmp_path / "32.orbax-checkpoint-tmp-1")
    again = Checkpoints(tmp_path, 1e9)
    assert again.latest() == 16
    assert same(again.restore(state(), trace(0))[1], state(16))
    again.save(32, state(32), trace(32))
    again.close()
    assert same(Checkpoints(tmp_path, 1e9).restore(state(), trace(0))[1], state(32))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["32"]


def flipped(content: bytes, bit: int) -> bytes:
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def cut(folder: Path) -> None:
    for path in (folder / "run").rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[:5])


def flip_one_bit(folder: Path) -> None:
    path = max(folder.glob("run/**/d/*"), key=lambda path: path.stat().st_size)
    path.write_bytes(flipped(path.read_bytes(), 4 * path.stat().st_size))


def rewrite(folder: Path) -> None:
    """Other numbers in a checkpoint that is whole as far as orbax knows."""
    from orbax.checkpoint import StandardCheckpointer

    with StandardCheckpointer() as orbax:
        kept = orbax.restore(folder / "run")
        name = next(name for name in kept["state"] if "w" in name)
        kept["state"][name] = kept["state"][name].at[0, 0, 0].multiply(1 + 1e-6)
        shutil.rmtree(folder / "run")
        orbax.save(folder / "run", kept)


def describe_otherwise(folder: Path) -> None:
    path = folder / "about" / "metadata"
    path.write_text(path.read_text().replace('"step": 32', '"step": 33'))


def empty(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


@pytest.mark.parametrize("damage", [cut, flip_one_bit, rewrite, describe_otherwise, empty])
def test_a_damaged_one_is_set_aside_for_the_one_before(tmp_path, caplog, damage):
    saved(tmp_path, 16, 32, keep=2)
    damage(tmp_path / "32")
    again = Checkpoints(tmp_path, 1e9, keep=2)
    step, got, record = again.restore(state(), trace(0))
    assert step == again.latest() == 16
    assert same(got, state(16))
    assert record.tobytes() == trace(16).tobytes()
    (said,) = caplog.messages
    assert re.search(r"32 is damaged \(.*\) and kept as corrupt-32: going on from the one before, step 16", said)
    again.save(32, state(32), trace(32))
    again.close()
    assert {path.name for path in tmp_path.iterdir()} == {"16", "32", "corrupt-32"}
    assert Checkpoints(tmp_path, 1e9).restore(state(), trace(0))[0] == 32


def test_where_all_are_damaged_the_run_begins_again(tmp_path, caplog):
    saved(tmp_path, 16)
    flip_one_bit(tmp_path / "16")
    step, got, _ = Checkpoints(tmp_path, 1e9).restore(state(), trace(0))
    assert step == 0
    assert same(got, state())
    assert "going on from the beginning of the run, there is no other" in caplog.text


@pytest.mark.slow
def test_200_flipped_bits_change_nothing_silently(tmp_path, caplog, capsys):
    """Figures of docs/reliability.md: pytest -m slow -s -k flipped_bits tests/test_checkpoint.py"""
    saved(tmp_path / "sound", 16, 32, keep=2)
    rng = np.random.default_rng(0)
    files = [path for path in sorted((tmp_path / "sound" / "32").rglob("*")) if path.is_file()]
    sizes = np.array([path.stat().st_size for path in files])
    noticed = unharmed = 0
    for i in range(200):
        folder = tmp_path / str(i)
        shutil.copytree(tmp_path / "sound", folder)
        file = int(rng.choice(len(files), p=sizes / sizes.sum() if i % 2 else None))
        path = folder / files[file].relative_to(tmp_path / "sound")
        if sizes[file]:
            path.write_bytes(flipped(path.read_bytes(), int(rng.integers(8 * sizes[file]))))
        step, got, record = Checkpoints(folder, 1e9).restore(state(), trace(0))
        assert step in (16, 32)
        assert same(got, state(step))
        assert record.tobytes() == trace(step).tobytes()
        noticed, unharmed = noticed + (step == 16), unharmed + (step == 32)
        shutil.rmtree(folder)
    with capsys.disabled():
        print(f"\n200 flipped bits: {noticed} noticed, {unharmed} in bytes without meaning, 0 silent changes")
    assert noticed > 50


def test_checksums_tell_every_bit_and_place_apart():
    rng = np.random.default_rng(0)
    one = rng.normal(size=(3, 5)).astype(np.float32)
    swapped = one.copy()
    swapped[0, 0], swapped[2, 4] = one[2, 4], one[0, 0]
    variants = [one, swapped, one.reshape(5, 3), -one, np.where(np.arange(15).reshape(3, 5) == 7, 0, one)]
    variants += [np.frombuffer(flipped(one.tobytes(), bit), np.float32).reshape(3, 5) for bit in range(480)]
    sums = [checksums({"": jnp.asarray(variant)})[""] for variant in [*variants[:2], *variants[3:]]]
    assert len(set(sums)) == len(sums)
    assert checksums({"": jnp.asarray(one)}) == checksums({"": jnp.asarray(one.copy())})
    for dtype in (jnp.bfloat16, jnp.float16, jnp.int32, jnp.uint32, jnp.uint8, bool):
        leaf = jnp.asarray(one > 0).astype(dtype)
        assert checksums({"": leaf}) != checksums({"": leaf.at[1, 1].set(~(one[1, 1] > 0))})


def test_a_save_that_fails_is_said_once_and_the_next_one_is_made(tmp_path, caplog, monkeypatch):
    from orbax.checkpoint._src.path.atomicity import AtomicRenameTemporaryPath

    async def full(self, *args, **kwargs):
        raise OSError(28, "No space left on device")

    checkpoints = saved(tmp_path, 16)
    with monkeypatch.context() as patch:
        patch.setattr(AtomicRenameTemporaryPath, "finalize", full)
        for step in (32, 48, 64):
            checkpoints.save(step, state(step), trace(step))
        checkpoints.close()
    (said,) = caplog.messages
    assert "step 32 cannot be saved" in said
    assert "No space left on device" in said
    assert "the run goes on, and would be continued from step 16" in said
    assert checkpoints.latest() == 16
    checkpoints.save(80, state(80), trace(80))
    checkpoints.close()
    assert Checkpoints(tmp_path, 1e9).restore(state(), trace(0))[0] == 80
    assert len(caplog.messages) == 1


def test_where_nothing_can_be_saved_the_run_goes_on(tmp_path, caplog):
    (tmp_path / "file").write_text("a file, where the folder should be")
    checkpoints = saved(tmp_path / "file", 16, 32)
    assert "step 16 cannot be saved" in caplog.text
    checkpoints.remove()
    assert (tmp_path / "file").exists()


def test_one_of_another_run_is_refused_and_other_circumstances_are_said(tmp_path, caplog):
    mine = {"model": {"width": 32, "depth": 2}, "optimizer": {"name": "adamw"}, "steps": 100}
    made = {"versions": {"jax": "0.10.2"}, "engine": {"fsdp": 1}}
    saved(tmp_path, 16, identity=mine, made_with=made)
    other = {**mine, "model": {"width": 64, "depth": 2}, "steps": 200}
    with pytest.raises(
        BadInput, match=r"is of another run, model\.width was 32, is 64; steps was 100, is 200: remove it"
    ):
        Checkpoints(tmp_path, 1e9, identity=other, made_with=made).restore(state(), trace(0))
    with caplog.at_level(logging.WARNING):
        assert Checkpoints(tmp_path, 1e9, identity=mine, made_with=made).restore(state(), trace(0))[0] == 16
        assert not caplog.records
        new = {"versions": {"jax": "0.11.0"}, "engine": {"fsdp": 4}}
        assert Checkpoints(tmp_path, 1e9, identity=mine, made_with=new).restore(state(), trace(0))[0] == 16
    assert "not bit for bit: engine.fsdp was 1, is 4; versions.jax was 0.10.2, is 0.11.0" in caplog.text


MESHES = """
import sys, jax, numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
from jaxlaws.training.checkpoint import Checkpoints
x, trace = np.random.default_rng(0).normal(size=(8, 12)).astype(np.float32), np.ones((4, 9))
def lay(shape, spec):
    mesh = Mesh(np.array(jax.devices()[: int(np.prod(shape))]).reshape(shape), ("data", "fsdp"))
    return NamedSharding(mesh, spec)
first = Checkpoints(__import__("pathlib").Path(sys.argv[1]), 1e9)
first.save(16, {"w": jax.device_put(x, lay((2, 2), P("fsdp", "data")))}, trace)
first.close()
for shape, spec in (((1, 4), P("fsdp")), ((4, 1), P()), ((1, 1), P()), ((2, 2), P(None, "fsdp"))):
    wanted = {"w": jax.device_put(np.zeros_like(x), lay(shape, spec))}
    step, got, _ = Checkpoints(__import__("pathlib").Path(sys.argv[1]), 1e9).restore(wanted, trace)
    assert step == 16 and got["w"].sharding == wanted["w"].sharding, (shape, got["w"].sharding)
    assert np.asarray(got["w"]).tobytes() == x.tobytes()
print("all")
"""


def test_a_sharded_state_comes_back_on_any_mesh(tmp_path):
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=4", "JAX_PLATFORMS": "cpu"}
    answer = subprocess.run(
        [sys.executable, "-c", MESHES, str(tmp_path / "c")], capture_output=True, text=True, env=environment, cwd=ROOT
    )
    assert answer.stdout == "all\n", answer.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_is_noted_and_the_second_is_what_it_was(number):
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)

    def stopped_twice():
        with preemptible():
            assert not stop_asked()
            os.kill(os.getpid(), number)
            assert stop_asked()
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Preempted):
        stopped_twice()
    assert not stop_asked()
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
    other = threading.Thread(target=lambda: preemptible().__enter__())
    other.start()
    other.join()
    assert signal.getsignal(signal.SIGTERM) == before[0]
