"""`python -m jaxlaws` is the command `jaxlaws`."""

from jaxlaws.cli import entry

if __name__ == "__main__":
    entry()
