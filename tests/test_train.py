"""A lane is a run: packed, chunked, padded or next to a diverging neighbour, it is the run that it would be alone."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from optax.contrib import schedule_free, schedule_free_eval_params

from jaxlaws.config import EngineConfig, EvalConfig, OptimizerConfig, RunConfig
from jaxlaws.data.config import DataConfig
from jaxlaws.data.tokens import open_data
from jaxlaws.model.shape import ModelConfig
from jaxlaws.model.transformer import build
from jaxlaws.schedules.spec import ScheduleConfig
from jaxlaws.training import program as programs
from jaxlaws.training.lane import Lane, Watch
from jaxlaws.training.optimizer import hyper
from jaxlaws.training.run import _on_device, _validation, train_lanes

RUN = RunConfig(
    model=ModelConfig(width=16, depth=1, heads=2, mlp_width=24, vocab=16),
    data=DataConfig(source="language", vocab=16, seq_len=16),
    schedule=ScheduleConfig(warmup_steps=3),
    optimizer=OptimizerConfig(peak_lr=1e-2),
    eval=EvalConfig(points=3, sequences=32),
    steps=40,
    batch_sequences=4,
)


def train(*runs: RunConfig, strategy: str = "map", size: int | None = None, engine: EngineConfig | None = None):
    """(records, curves) of runs trained as lanes of one program."""
    data = open_data(runs[0].data)
    lanes = [Lane(run) for run in runs]
    curves: dict[Lane, list[dict]] = {lane: [] for lane in lanes}
    records: dict[Lane, dict] = {}
    watch = Watch(lambda lane, point: curves[lane].append(point), end=records.__setitem__)
    train_lanes(programs.program(runs[0], data, strategy, engine), data, lanes, size or len(runs), watch)
    return [records[lane] for lane in lanes], [curves[lane] for lane in lanes]


def result(record: dict) -> dict:
    timings = ("seconds", "compile_seconds", "step_seconds", "tokens_per_second")
    return {name: value for name, value in record.items() if name not in timings}


def with_lr(run: RunConfig, lr: float, **change) -> RunConfig:
    return replace(run, optimizer=replace(run.optimizer, peak_lr=lr), **change)


@pytest.fixture(scope="module")
def alone():
    return train(RUN)


def plain_loop(optimizer: optax.GradientTransformation, run: RunConfig):
    """(training losses, parameters, state, loss on the validation data of parameters) of one jitted step at a time."""
    data, model = open_data(run.data), build(run.model)

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
    held_out = read(data.store, data.val_picks(32))
    return losses, params, state, lambda params: float(jax.jit(loss)(params, held_out))


def matrices(params):
    return jax.tree.map(lambda x: x.ndim >= 2, params)


def test_the_loop_equals_plain_optax_adamw(alone):
    """An independent loop: one jitted step at a time, optax.adamw with an optax schedule instead of LR as data."""
    (record,), (curve,) = alone
    table = jnp.asarray(Lane(RUN).lr, jnp.float32)
    adamw = optax.adamw(lambda t: table[t], 0.9, 0.95, 1e-8, weight_decay=0.1, mask=matrices)
    losses, params, _, validate = plain_loop(optax.chain(optax.clip_by_global_norm(1.0), adamw), RUN)
    assert record["val_loss_nats"] == pytest.approx(validate(params), rel=2e-5)
    assert record["train_loss_nats"] == pytest.approx(np.mean(losses[-4:]), rel=2e-5)
    assert curve[0]["train_loss"] == pytest.approx(np.mean(losses[:13]), rel=2e-5)


def test_schedule_free_training_is_validated_at_its_average():
    """The loop of optax, whose parameters are the points of the gradients; with a schedule that falls."""
    run = replace(RUN, optimizer=OptimizerConfig(name="schedule_free_adamw", peak_lr=3e-2))
    (record,), _ = train(run)
    table = jnp.asarray([*Lane(run).lr, 0.0], jnp.float32)
    inner = optax.adamw(lambda t: table[t], 0.0, 0.95, 1e-8, weight_decay=0.1, mask=matrices)
    # It counts steps from one.
    rule = schedule_free(optax.chain(optax.clip_by_global_norm(1.0), inner), lambda t: table[t - 1], 0.9)
    losses, params, state, validate = plain_loop(rule, run)
    average = schedule_free_eval_params(state, params)
    assert record["train_loss_nats"] == pytest.approx(np.mean(losses[-4:]), rel=2e-5)
    assert record["val_loss_nats"] == pytest.approx(validate(average), rel=2e-5)
    assert abs(record["val_loss_nats"] - validate(params)) > 5e-4


@pytest.mark.parametrize(("sequences", "batch"), [(40, 20), (37, 1), (24, 24), (64, 32), (256, 32)])
def test_a_validation_reads_exactly_the_sequences_that_were_asked_for(sequences: int, batch: int):
    data = open_data(RUN.data)
    rows = _validation(data, sequences, None)
    assert rows.shape[:2] == (sequences // batch, batch)
    np.testing.assert_array_equal(rows.reshape(sequences, *rows.shape[2:]), data.val_picks(sequences))


def test_little_validation_data_is_used_and_said(tmp_path):
    (tmp_path / "some.txt").write_bytes(bytes(range(16)) * 1000)
    run = replace(RUN, data=DataConfig(source="text", path=str(tmp_path), vocab=16, seq_len=16), steps=5)
    data = open_data(run.data)
    many = replace(run, eval=EvalConfig(points=1, sequences=500))
    assert len(data.val_picks(20)) == 20
    with pytest.warns(UserWarning, match="the validation data holds"):
        records, _ = train(many)
    assert records[0]["status"] == "ok"


def test_two_splits_of_one_text_in_one_process_keep_apart(tmp_path):
    """The same text with another share for validation is other data, though its content and its hash are the same."""
    (tmp_path / "some.txt").write_bytes(np.random.default_rng(0).integers(0, 16, 20_000, np.uint8).tobytes())
    text = DataConfig(source="text", path=str(tmp_path), vocab=16, seq_len=16)
    alone = {}
    for fraction in (0.1, 0.5, 0.1):
        data = open_data(replace(text, val_fraction=fraction))
        run = replace(RUN, data=replace(text, val_fraction=fraction), steps=5)
        (record,), _ = train(run)
        picked = np.asarray(jax.jit(data.read)(data.store, data.picks(0, 0, 1, 4)[0]))
        seen = np.asarray(jax.jit(data.read)(_on_device(data, None), data.picks(0, 0, 1, 4)[0]))
        np.testing.assert_array_equal(picked, seen)
        assert alone.setdefault(fraction, record["val_loss_nats"]) == record["val_loss_nats"]


def test_training_lowers_the_loss_towards_but_not_below_the_entropy():
    (record,), _ = train(with_lr(RUN, 1e-2, steps=300))
    entropy = open_data(RUN.data).entropy
    assert entropy < record["val_loss_nats"] < 0.96 * np.log(16)


def test_packed_under_map_equals_alone_bit_for_bit(alone):
    runs = [with_lr(RUN, 3e-3), RUN, replace(RUN, seed=5)]
    records, curves = train(*runs)
    assert result(records[1]) == result(alone[0][0])
    assert curves[1] == alone[1][0]
    assert records[2]["val_loss_nats"] != records[1]["val_loss_nats"]


def test_packed_under_vmap_equals_alone_within_rounding(alone):
    records, curves = train(with_lr(RUN, 3e-3), RUN, strategy="vmap")
    assert records[1]["val_loss_nats"] == pytest.approx(alone[0][0]["val_loss_nats"], rel=1e-5)
    assert curves[1][0]["train_loss"] == pytest.approx(alone[1][0][0]["train_loss"], rel=1e-5)


def test_packed_under_shard_equals_alone_within_rounding(alone):
    records, _ = train(RUN, strategy="shard", size=jax.local_device_count())
    assert records[0]["val_loss_nats"] == pytest.approx(alone[0][0]["val_loss_nats"], rel=1e-5)


def test_chunking_changes_nothing(alone, monkeypatch):
    monkeypatch.setattr(programs, "CHUNK", 7)
    monkeypatch.setattr("jaxlaws.training.run.CHUNK", 7)
    programs._program.cache_clear()
    records, curves = train(RUN)
    programs._program.cache_clear()
    assert result(records[0]) == result(alone[0][0])
    assert curves == alone[1]


def test_lanes_of_different_lengths_end_where_they_would_alone(alone):
    short = replace(RUN, steps=11)
    records, curves = train(short, RUN, size=3)
    assert result(records[0]) == result(train(short)[0][0])
    assert result(records[1]) == result(alone[0][0])
    assert [point["step"] for point in curves[0]] == [4, 7, 11]


@pytest.mark.parametrize("strategy", ["map", "vmap", "shard"])
def test_a_diverging_lane_is_a_result_and_leaves_its_neighbour_alone(alone, strategy: str, tmp_path):
    """The LR of step 2 throws the parameters out of range, so that the loss of step 3 is not finite."""
    rates = np.where(np.arange(40) == 2, 1e38, 1e-3)
    (tmp_path / "wild.csv").write_text("step,lr\n" + "".join(f"{t},{rate}\n" for t, rate in enumerate(rates)))
    wild = with_lr(RUN, 1e38, schedule=ScheduleConfig(name="table", file=str(tmp_path / "wild.csv")))
    size = None if strategy != "shard" else 2 * jax.local_device_count()
    records, curves = train(wild, RUN, strategy=strategy, size=size)
    assert records[0]["status"] == "diverged"
    assert records[0]["diverged_step"] == 3
    assert records[0]["val_loss_nats"] is None
    assert curves[0] == []
    assert records[1]["status"] == "ok"
    assert records[1]["val_loss_nats"] == pytest.approx(alone[0][0]["val_loss_nats"], rel=1e-5)
    if strategy == "map":
        assert result(records[1]) == result(alone[0][0])


def test_runs_of_one_shape_share_one_compile():
    data = open_data(RUN.data)
    program = programs.program(RUN, data, "map")
    assert program is programs.program(replace(RUN, model=ModelConfig(**vars(RUN.model)), seed=3), data, "map")
    train(RUN)
    compiled = program.advance._cache_size()
    train(with_lr(RUN, 7e-3, seed=9, schedule=ScheduleConfig(name="wsd", floor=0.0), steps=23))
    train(replace(RUN, optimizer=OptimizerConfig(peak_lr=1e-3, weight_decay=0.0, beta1=0.8, beta2=0.99, clip=0.5)))
    assert program.advance._cache_size() == compiled


@pytest.mark.parametrize("name", ["weight_decay", "beta1", "beta2", "eps", "clip"])
def test_every_hyperparameter_is_felt(alone, name: str):
    value = {"weight_decay": 2.0, "beta1": 0.5, "beta2": 0.5, "eps": 1e-2, "clip": 1e-3}[name]
    (record,), _ = train(replace(RUN, optimizer=replace(RUN.optimizer, **{name: value})))
    assert record["val_loss_nats"] != alone[0][0]["val_loss_nats"]


def test_hyperparameters_are_strong_float32():
    assert {np.asarray(value).dtype for value in hyper(OptimizerConfig())} == {np.dtype("float32")}


def test_accumulation_equals_the_larger_batch(alone):
    records, curves = train(RUN, engine=EngineConfig(accumulate=2))
    assert records[0]["val_loss_nats"] == pytest.approx(alone[0][0]["val_loss_nats"], rel=1e-5)
    for mine, whole in zip(curves[0], alone[1][0], strict=True):
        assert mine == pytest.approx(whole, rel=2e-5)


def test_a_place_is_refilled_as_soon_as_its_lane_has_ended(alone):
    """Five lanes in two places, one of them diverging at once: everyone's result is what it would be alone."""
    wild = with_lr(RUN, 1e38, schedule=ScheduleConfig(name="constant", warmup_steps=0))
    runs = [wild, replace(RUN, steps=11), RUN, with_lr(RUN, 3e-3), replace(RUN, seed=5)]
    records, curves = train(*runs, size=2)
    assert [record["status"] for record in records] == ["diverged", *["ok"] * 4]
    for run, record, curve in zip(runs[1:], records[1:], curves[1:], strict=True):
        (same,), (points,) = train(run)
        assert result(record) == result(same)
        assert curve == points


def test_a_lane_goes_on_from_a_snapshot_of_another(alone):
    """A trunk hands its state over at step 20; the branch ends where the whole run ends."""
    data, kept = open_data(RUN.data), {}

    def snapshot(lane, step, state, trace):
        kept[step] = (step, state, trace)

    trunk = Lane(replace(RUN, schedule=ScheduleConfig(warmup_steps=3)), snapshots=frozenset({20}))
    program = programs.program(RUN, data, "map")
    train_lanes(program, data, [trunk], 1, Watch(snapshot=snapshot))

    def start(state, trace):
        step, held, known = kept[20]
        trace[:, :step] = known
        return step, held, trace

    for size in (1, 2):
        told: dict[Lane, dict] = {}
        watch = Watch(end=told.__setitem__)
        branch = Lane(RUN, start=start)
        train_lanes(program, data, [branch], size, watch)
        assert result(told[branch]) == result(alone[0][0])


def test_the_average_of_weights_is_what_is_validated():
    """With decay 0 the average is the last weights; with a decay it is another model, of another loss."""
    averaged = lambda ema: replace(RUN, optimizer=replace(RUN.optimizer, ema=ema))  # noqa: E731
    (last,), _ = train(RUN)
    (tiny,), _ = train(averaged(1e-30))
    (slow,), _ = train(averaged(0.9))
    assert tiny["val_loss_nats"] == pytest.approx(last["val_loss_nats"], rel=1e-6)
    assert abs(slow["val_loss_nats"] / last["val_loss_nats"] - 1) > 1e-4
    assert slow["train_loss_nats"] == pytest.approx(last["train_loss_nats"], rel=1e-6)


def test_the_order_of_the_data_has_a_seed_of_its_own(alone):
    (same,), _ = train(replace(RUN, data_seed=0))
    (other,), _ = train(replace(RUN, data_seed=1))
    assert result(same) == result(alone[0][0])
    assert other["val_loss_nats"] != same["val_loss_nats"]


@pytest.mark.parametrize(
    ("name", "within"),
    [
        ("muon", 1e-5),
        pytest.param("sgd", 1e-5, marks=pytest.mark.slow),
        pytest.param("adafactor", 1e-5, marks=pytest.mark.slow),
        # In directions of which the first gradient has nothing its bases are rounding's choice.
        pytest.param("soap", 5e-4, marks=pytest.mark.slow),
    ],
)
def test_other_optimisers_are_lanes_too(name: str, within: float):
    """Side by side in one batch, a lane with other momenta and LR beside it is what it is alone."""
    run = with_lr(RUN, 3e-3)
    run = replace(run, optimizer=replace(run.optimizer, name=name), steps=20)
    other = replace(run, optimizer=replace(run.optimizer, momentum=0.5, beta1=0.5, peak_lr=1e-3))
    (alone,), _ = train(run)
    records, _ = train(other, run, strategy="vmap")
    assert records[1]["val_loss_nats"] == pytest.approx(alone["val_loss_nats"], rel=within)
    assert records[0]["val_loss_nats"] != records[1]["val_loss_nats"]
