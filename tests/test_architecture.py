"""The house rules, kept by the syntax tree: imports go one way, heavy libraries have one home, start-up is light."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "rtmatte"
MODULES = sorted(PACKAGE.rglob("*.py"))
STAGES = {"capture", "matting", "temporal", "refine", "composite", "output"}
HOMES = {
    "pymatting": {"refine/solved_band.py"},
    "scipy": {"refine/solved_band.py", "refine/knn.py"},
    "onnxruntime": {"matting/session.py"},
    "av": {"capture", "output"},
    "pyvirtualcam": {"output/virtual_camera.py"},
    "typer": {"cli"},
    "rich": {"cli"},
}


def imports(path: Path) -> list[tuple[str, bool]]:
    """(module, whether it is at the top level) of every import in a file, but for those for type checkers only."""
    tree = ast.parse(path.read_text())
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for inner in ast.walk(node)
    }
    found = []
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            found += [(alias.name, node in tree.body) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.append((node.module, node in tree.body))
    return found


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_one_way(path: Path) -> None:
    here = room(path)
    for module, _ in imports(path):
        parts = module.split(".")
        if parts[0] != "rtmatte" or len(parts) < 2:
            continue
        there = parts[1]
        if here in STAGES:
            assert there not in {"cli", "runs", "settings"} | (STAGES - {here}), f"{path} imports {module}"
        elif here == "runs":
            assert there != "cli", f"{path} imports {module}"
        elif here not in {"cli", "__main__.py", "__init__.py"}:
            assert there not in STAGES | {"cli", "runs"}, f"{path} imports {module}"


@pytest.mark.parametrize("library", HOMES)
def test_heavy_libraries_have_one_home(library: str) -> None:
    for path in MODULES:
        inside = str(path.relative_to(PACKAGE))
        if any(module.split(".")[0] == library for module, _ in imports(path)):
            assert room(path) in HOMES[library] or inside in HOMES[library], f"{inside} imports {library}"


@pytest.mark.parametrize(
    "command",
    [[sys.executable, "-c", "import rtmatte"], [sys.executable, "-m", "rtmatte", "--help"]],
    ids=["import", "help"],
)
def test_starting_up_loads_nothing_heavy(command: list[str]) -> None:
    traced = subprocess.run(
        [command[0], "-X", "importtime", *command[1:]], capture_output=True, text=True, check=True, cwd=PACKAGE.parent
    )
    loaded = {line.rsplit("|", 1)[-1].strip().split(".")[0] for line in traced.stderr.splitlines()}
    assert "rtmatte" in loaded
    assert not loaded & {"numpy", "cv2", "av", "numba", "onnxruntime", "PIL", "pydantic"}


def test_every_public_name_loads() -> None:
    import rtmatte

    assert set(rtmatte.__all__) == set(rtmatte._HOMES) | {"__version__"}
    for name in rtmatte.__all__:
        assert getattr(rtmatte, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = rtmatte.nothing
