"""The arrows of the design point down: laws never import training, and what must start fast loads no JAX."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "jaxlaws"
#: Package → its floor. A module imports from its own package and from lower floors only.
FLOORS = {
    "meanings": -2,
    "errors": -1,
    "text": -1,
    "plugins": 0,
    "nested": 0,
    "inputs": 0,
    "quantity": 0,
    "numeric": 0,
    "status": 1,
    "extrapolation": 3,
    "figures": 2,
    "fits": 3,
    "hyper": 1,
    "laws": 1,
    "schedules": 2,
    "model": 1,
    "data": 1,
    "records": 1,
    "config": 3,
    "unread": 4,
    "fitting": 4,
    "training": 4,
    "recommender": 6,
    "designs": 5,
    "sweep": 5,
    "overrides": 6,
    "hydra_block": 6,
    "compose": 7,
    "request": 8,
    "bench": 7,
    "report": 7,
    "listing": 7,
    "api": 8,
    "atlas": 8,
    "quickstart": 9,
    "cli": 10,
}
#: The two wings, which meet in records and schedules only.
LAWS, TRAINING = (
    {"laws", "fitting", "recommender", "designs"},
    {"hyper", "model", "data", "training", "sweep", "config", "unread", "overrides", "compose", "request"},
)


def _imports(path: Path) -> set[str]:
    """The parts of the package that a file imports, at its top or inside functions, types excepted."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("jaxlaws."):
            names.add(node.module.split(".")[1])
        elif isinstance(node, ast.ImportFrom) and node.module == "jaxlaws":
            names |= {alias.name for alias in node.names if (PACKAGE / alias.name).exists() or alias.name in FLOORS}
    return names


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path: Path):
    part = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if part in ("__init__", "__main__"):
        return
    for name in _imports(path) - {part}:
        assert FLOORS[name] < FLOORS[part], f"{part} (floor {FLOORS[part]}) imports {name} (floor {FLOORS[name]})"
        assert not (part in LAWS and name in TRAINING), f"law code imports training code: {name}"
        assert not (part in TRAINING and name in LAWS), f"training code imports law code: {name}"


def _loaded(code: str) -> set[str]:
    answer = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(' '.join(sys.modules))"],
        capture_output=True,
        text=True,
        check=True,
    )
    return {name.split(".")[0] for name in answer.stdout.splitlines()[-1].split()}


@pytest.mark.parametrize(
    "code",
    [
        "import jaxlaws",
        "import pathlib, importlib as lib, jaxlaws.cli as cli\n"
        "for path in pathlib.Path(cli.__file__).parent.glob('*.py'): lib.import_module('jaxlaws.cli.' + path.stem)",
        "from jaxlaws.cli import main; main(['recommend', '--params', '7e9', '--tokens', '1.4T'])",
        "import jaxlaws; jaxlaws.recommend(params=7e9, tokens=1.4e12)",
        "import jaxlaws.recommender.identifiable, jaxlaws.recommender.survey, jaxlaws.cli.again",
        "import jaxlaws.schedules.spec, jaxlaws.records.run, jaxlaws.sweep.plan, jaxlaws.config",
    ],
    ids=["package", "every command", "recommend", "recommend in Python", "inspect", "schedules and records"],
)
def test_what_starts_fast_loads_no_jax(code: str):
    assert not {"jax", "flax", "optax", "orbax"} & _loaded(code)


def test_advice_loads_no_array_library():
    code = "from jaxlaws.cli import main; main(['recommend', '--params', '7e9', '--tokens', '1.4T'])"
    assert not {"numpy", "pandas", "scipy", "matplotlib", "rich"} & _loaded(code)


#: Distribution → the modules of it that are imported under another name.
MODULES = {
    "hydra-core": {"hydra", "omegaconf"},
    "pyyaml": {"yaml"},
    "orbax-checkpoint": {"orbax"},
    "hydra-joblib-launcher": {"hydra_plugins"},
}


def test_what_is_imported_is_declared():
    """A module that no extra declares is one of the run-time dependencies."""
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())["project"]

    def modules(requirements: list[str]) -> set[str]:
        names = [re.split(r"[\[<>=]", requirement)[0] for requirement in requirements]
        return set().union(*(MODULES.get(name, {name.replace("-", "_")}) for name in names))

    always = modules(project["dependencies"])
    extras = {
        extra: modules(needs)
        for extra, needs in project["optional-dependencies"].items()
        if extra not in ("test", "dev")
    }
    imported = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                imported.add((node.module or "").split(".")[0])
    foreign = imported - set(sys.stdlib_module_names) - {"jaxlaws"}
    assert foreign <= always | set().union(*extras.values())
    assert "scipy" in always
