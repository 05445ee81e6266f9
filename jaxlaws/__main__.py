"""`python -m jaxlaws` is the command `jaxlaws`."""

from jaxlaws.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
