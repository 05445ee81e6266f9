"""Valid command lines, which fuzzing starts from, and options that it adds. No line trains, downloads or benchmarks."""

from __future__ import annotations

import shlex
from collections.abc import Sequence


def _lines(text: str) -> list[list[str]]:
    return [shlex.split(line) for line in text.strip().splitlines()]


def _options(text: str) -> Sequence[str]:
    return text.split()


_SOURCE = "--format --where --map --assume"
#: Command → (lines, options, how many of 10,000 examples).
COMMANDS: dict[str, tuple[list[list[str]], Sequence[str], int]] = {
    "recommend": (
        _lines(
            """
            recommend --params 7e9 --tokens 1.4T
            recommend --params 7e9 --tokens 1.4T --json
            recommend --params 4e8 --tokens 20B --law law.json --seq-len 2048 --json --force
            recommend --params 100k --tokens 2M --law step_law:published --batch-tokens 64k --force
            recommend --params 1e9 --tokens 100B --schedule 'wsd(cooldown=0.2)' --json
            recommend --params-total 1.2e9 --tokens 30B --vocab 50k --width 2048 --layers 24 --compare
            recommend --params 1e9 --tokens 30B --loss 2.5 --untied --compare --json
            recommend --params 1e9 --tokens 30B --optimizer muon --weight-decay 0.05 --beta2 0.98 --warmup 0.02
            recommend --moe-active 1B --moe-total 8B --tokens 1T --from-checkpoint 2T --compare
            recommend --params 1e9 --tokens 30B --parameterisation mup --base-width 256 --width 2048 --layers 24
            """
        ),
        _options(
            "--params --params-total --tokens --law --seq-len --batch-tokens --schedule --vocab --width --layers "
            "--untied --loss --compare --force --json --optimizer --parameterisation --base-width "
            "--moe-active --moe-total --from-checkpoint --weight-decay --beta2 --warmup"
        ),
        2_500,
    ),
    "predict": (
        _lines(
            """
            predict chinchilla:epoch --params 7B --tokens 1.4T
            predict chinchilla:hoffmann --params 7B --tokens 1.4T --json --force
            predict points.json --params 7e8 --tokens 14B --json
            predict multi_power:25M --schedule 'wsd(cooldown=0.2)' --steps 60 --peak-lr 3e-4 --force
            predict multi_power:25M --schedule lr.csv --every 20 --force
            predict along.json --schedule lr.npy --every 30 --json --force
            """
        ),
        _options(
            "--params --tokens --batch-tokens --params-column --schedule --steps --peak-lr --warmup --warmup-ld "
            "--every --force --json"
        ),
        1_000,
    ),
    "optimum": (
        _lines(
            """
            optimum chinchilla:epoch --flops 1e21
            optimum points.json --flops 1e21 --json --force
            optimum published/isoflop.csv --format isoflop_all --flops 1e20 --approach 1 --json
            optimum runs.csv --flops 1e20 --approach 1 --where 'tokens>=1e9' --map loss=loss_nats
            """
        ),
        _options(f"--flops --approach --params-column --force --json {_SOURCE}"),
        700,
    ),
    "schedule": (
        _lines(
            """
            schedule
            schedule --json
            schedule 'wsd(cooldown=0.2, shape=1-sqrt)' --steps 60 --peak-lr 3e-4 -o new.csv
            schedule cosine --steps 60 --peak-lr 3e-4 --warmup 5 --json -o new/new.json
            schedule lr.csv --peak-lr 1 -o new.npy
            schedule lr.npy --json
            schedule lr.json --warmup 3
            schedule 'cosine_restarts(cycles=2)' --steps 60 --peak-lr 1
            schedule 'wsd_cycles(cooldown=0.1)' --steps 60 --peak-lr 1
            schedule 'power(a=1, b=-0.5)' --steps 60 --peak-lr 1
            schedule 'infinite(cooldown=0.2)' --steps 60 --peak-lr 1
            schedule 'step(milestones=0.5)' --steps 60 --peak-lr 1 --json
            """
        ),
        _options("--steps --peak-lr --warmup --json"),
        1_500,
    ),
    "bound": (
        _lines(
            """
            bound 'wsd(cooldown=0.2)' --against linear --steps 60
            bound 'wsd(cooldown=0.2)' --steps 60 --extend 90 --peak-lr 1e-3 --json
            bound lr.csv --json
            """
        ),
        _options("--against --extend --steps --peak-lr --warmup --json"),
        500,
    ),
    "design": (
        _lines(
            """
            design cooldown multi_power:25M --horizons 60 --peak-lr 3e-4 --force
            design extend multi_power:25M --schedule lr.csv --to 120 --json --force
            design cooldown along.json --steps 60 --peak-lr 3e-4 --warmup 3 --shape 1-sqrt --force --json
            """
        ),
        _options("--horizons --steps --peak-lr --warmup --params --schedule --to --shape --force --json --seed"),
        60,
    ),
    "files": (
        _lines(
            """
            laws
            laws --json
            laws chinchilla
            laws step_law --json
            compare points.json chinchilla:epoch
            compare points.json chinchilla:hoffmann --json
            compare points.json along.json --by rmse --held-out test
            collect sweep
            collect sweep -o new.csv
            status sweep --json
            status sweep
            inspect runs.csv
            inspect curves.csv --json --where 'tokens>0' --assume tuning=best
            bench none
            bench fit --repeats 0
            quickstart --out
            quickstart --tiny --bad
            data rows.jsonl -o new --field nothing
            data rows.jsonl -o shards --shard-tokens 200 --val-fraction 0.2 --json
            data texts -o new --tokenizer none.json
            """
        ),
        _options("--json --by --held-out --repeats --field --eos --shard-tokens --val-fraction --tokenizer --split"),
        900,
    ),
    "fit": (
        _lines(
            """
            fit none runs.csv
            fit chinchilla runs.csv --noise none --fix alpha=0.3
            fit chinchilla runs.csv --starts 0
            fit multi_power curves.csv --bootstrap -1
            fit opl curves.csv --train 'loss<0'
            fit chinchilla absent.csv --json
            fit step_law runs.csv --bootstrap 0 --force -o new.json
            fit step_law runs.csv --bootstrap 5 --json
            fit step_law published/step_law.csv --format step_law --bootstrap 0
            """
        ),
        _options(f"--train --noise --starts --seed --params-column --warmup-ld --fix --json --force {_SOURCE}"),
        250,
    ),
    "train": (
        _lines(
            """
            train model=6k data=language tokens=2k optimizer.peak_lr=3e-3 schedule=wsd
            train -m model=6k,12k data=language seed=0,1 tokens=2k
            train -m model=6k data=language optimizer.peak_lr=logspace(1e-4,1e-2,3) tokens=2k
            train -m model=6k data=language seed=range(0,4) schedule=wsd schedule.cooldown=0.1,0.2 tokens=2k
            train -m model=6k data=language optimizer.peak_lr=interval(1e-4,1e-2) sweep.samples=2 tokens=2k
            train sweep=lr_batch data=language
            train model=6k data=text data.path=texts/a.txt tokens=2k
            train model=6k data=shards data.path=shards data.seq_len=16 tokens=2k
            train model=6k data=language schedule=table schedule.file=lr.csv data.seq_len=16 tokens=960
            """
        ),
        _options(
            "+a ~seed model=6k seed= tokens= steps= optimizer.peak_lr= schedule.floor= engine.data= hydra.run.dir="
        ),
        100,
    ),
}


#: Name → (file that is changed, lines that read it, how many of 10,000 examples).
FILES: dict[str, tuple[Sequence[str], list[list[str]], int]] = {
    "fits": (
        ("points.json", "along.json"),
        _lines(
            """
            predict FILE --params 7e8 --tokens 14B --json --force
            predict FILE --schedule lr.csv --every 20 --force
            optimum FILE --flops 1e21 --force
            compare FILE chinchilla:epoch --json
            design cooldown FILE --horizons 0 --peak-lr 3e-4 --force
            recommend --params 1e9 --tokens 30B --law FILE --force
            """
        ),
        700,
    ),
    "laws": (
        ("law.json",),
        _lines(
            """
            recommend --params 4e8 --tokens 20B --law FILE --seq-len 2048 --force
            recommend --params 4e8 --tokens 20B --law FILE --seq-len 2048 --json
            recommend --params 4e8 --tokens 20B --law FILE --batch-tokens 64k --schedule linear --force --json
            predict FILE --params 4e8 --tokens 20B
            """
        ),
        700,
    ),
    "schedules": (
        ("lr.csv", "lr.npy", "lr.json"),
        _lines(
            """
            schedule FILE
            schedule FILE --peak-lr 1e-3 --json
            bound FILE --json
            bound FILE --against FILE
            predict multi_power:25M --schedule FILE --force
            """
        ),
        800,
    ),
    "tables": (
        ("runs.csv", "curves.csv", "runs.parquet"),
        _lines(
            """
            optimum FILE --flops 1e20 --approach 1
            optimum FILE --flops 1e20 --approach 1 --json --force
            fit none FILE
            fit step_law FILE --bootstrap 0 --force --json
            inspect FILE
            inspect FILE --json
            """
        ),
        300,
    ),
    "published": (
        (
            *("published/isoflop.csv", "published/step_law.csv", "published/csv_25/constant_3000.csv"),
            *("published/lr_scheduling/runs.csv", "published/lr_scheduling/curves.csv"),
        ),
        _lines(
            """
            optimum published/isoflop.csv --format isoflop --flops 1e20 --approach 1 --json --force
            optimum published/isoflop.csv --format isoflop_all --flops 1e20 --approach 1
            optimum published/step_law.csv --format step_law --flops 1e20 --approach 1
            optimum published/csv_25 --format multi_power_law --flops 1e20 --approach 1
            optimum published/lr_scheduling --format lr_scheduling --flops 1e20 --approach 1
            optimum published/lr_scheduling --format lr_scheduling_final --flops 1e20 --approach 1
            inspect published/step_law.csv --format step_law
            inspect published/csv_25 --format multi_power_law --json
            """
        ),
        300,
    ),
    "sweeps": (
        ("sweep/sweep.yaml", *(f"sweep/RUN/{name}" for name in ("run.json", "curve.csv", "lr.npy", "config.yaml"))),
        _lines(
            """
            status sweep
            status sweep --json
            collect sweep
            collect sweep -o new.csv
            inspect sweep --json
            optimum sweep --flops 1e15 --approach 1
            """
        ),
        600,
    ),
    "shards": (
        ("shards/tokens.json", "shards/train_00000.bin", "rows.jsonl", "texts/a.txt"),
        _lines(
            """
            data rows.jsonl -o shards --shard-tokens 200 --val-fraction 0.2 --json
            data rows.jsonl -o new
            data texts -o new --json
            """
        ),
        200,
    ),
}
