"""One run, or with -m a sweep: `python experiments/train.py model=25k tokens=1M optimizer.peak_lr=3e-3`.

The keys and their meaning are in jaxlaws/config.py, named choices in conf/. `jaxlaws train` is the same command.
"""

from jaxlaws.cli import main

if __name__ == "__main__":
    import sys

    raise SystemExit(main(["train", *sys.argv[1:]]))
