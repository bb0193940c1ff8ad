"""Scripts beside the package import only names that it has: nothing else looks at them before they are run."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted(path for folder in ("benchmarks", "pretraining") for path in (ROOT / folder).rglob("*.py"))


def names_of(module: Path) -> set[str]:
    """Names that a module binds, wherever it does; of a package its modules as well."""
    tree = ast.parse(module.read_text(encoding="utf-8"))
    found = {path.stem for path in module.parent.iterdir()} if module.name == "__init__.py" else set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
    return found


def place_of(module: str) -> Path | None:
    """The file of a module of the package; None where there is none."""
    place = ROOT / "src" / Path(*module.split("."))
    return next((path for path in (place.with_suffix(".py"), place / "__init__.py") if path.exists()), None)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_what_a_script_imports_is_there(script: Path) -> None:
    missing = []
    for node in ast.walk(ast.parse(script.read_text(encoding="utf-8"))):
        modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module:
            modules = [node.module]
        for module in modules:
            if module.partition(".")[0] != "whichway":
                continue
            place = place_of(module)
            if place is None:
                missing.append(module)
            elif isinstance(node, ast.ImportFrom):
                known = names_of(place)
                missing += [f"{module}.{alias.name}" for alias in node.names if alias.name not in known]
    assert not missing
