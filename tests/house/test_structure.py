"""The structure of the package: sizes, no circles among imports, and one meaning for each name."""

import ast
from functools import cache
from itertools import count
from pathlib import Path

import whichway

ROOT = Path(whichway.__file__).parent
REPOSITORY = Path(__file__).parents[2]
LINES, FUNCTION, PARAMETERS = 400, 60, 8
FILES = sorted(ROOT.rglob("*.py"))
PAGES = sorted(path for suffix in ("j2", "js", "css") for path in ROOT.rglob(f"*.{suffix}"))
SCRIPTS = sorted(path for folder in ("benchmarks", "pretraining") for path in (REPOSITORY / folder).rglob("*.py"))
TESTS = sorted((REPOSITORY / "tests").rglob("*.py"))


@cache
def tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def place(file: Path) -> str:
    return file.relative_to(ROOT if file.is_relative_to(ROOT) else REPOSITORY).as_posix()


@cache
def functions(file: Path):
    return [node for node in ast.walk(tree(file)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def parameters(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Those that a caller gives."""
    given = node.args
    return len([a for a in (*given.posonlyargs, *given.args, *given.kwonlyargs) if a.arg not in ("self", "cls")])


def long_files(files: list[Path]) -> list[str]:
    """Files that are too long."""
    sizes = [(place(file), len(file.read_text(encoding="utf-8").splitlines())) for file in files]
    return [f"{name}: {size} lines" for name, size in sizes if size > LINES]


def long_functions(files: list[Path]) -> list[str]:
    """Functions that are too long."""
    found = ((file, node) for file in files for node in functions(file))
    sizes = [(f"{place(file)}:{n.lineno} {n.name}", (n.end_lineno or 0) - n.lineno + 1) for file, n in found]
    return [f"{name}: {size} lines" for name, size in sizes if size > FUNCTION]


def overloaded(files: list[Path]) -> list[str]:
    """Functions that take too many parameters."""
    counts = [
        (f"{place(file)}:{node.lineno} {node.name}", parameters(node)) for file in files for node in functions(file)
    ]
    return [f"{name}: {number} parameters" for name, number in counts if number > PARAMETERS]


def test_no_file_is_too_long():
    assert long_files([*FILES, *PAGES, *SCRIPTS, *TESTS]) == []


def test_no_function_is_too_long():
    assert long_functions([*FILES, *SCRIPTS]) == []


def test_no_function_takes_too_much():
    """A verb of the command line takes what its flags are."""
    assert overloaded([file for file in (*FILES, *SCRIPTS) if not place(file).startswith("cli/verbs/")]) == []


def test_what_is_too_long_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    file = tmp_path / "long.py"
    method = "    def f(self):\n" + "        pass\n" * FUNCTION
    names = ", ".join(f"x{k}" for k in range(PARAMETERS + 1))
    file.write_text(f"class A:\n{method}\nclass B:\n    def f(self):\n        pass\n\ndef g({names}):\n    pass\n")
    assert long_functions([file]) == [f"long.py:2 f: {FUNCTION + 1} lines"]
    assert overloaded([file]) == [f"long.py:{FUNCTION + 8} g: {PARAMETERS + 1} parameters"]
    other = tmp_path / "other.py"
    other.write_text("\n" * (LINES + 1))
    assert long_files([other]) == [f"other.py: {LINES + 1} lines"]


# circles

MODULES = {".".join(("whichway", *file.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__"): file
           for file in FILES}  # fmt: skip


def imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [name.name for name in node.names]
    if isinstance(node, ast.ImportFrom) and node.module:
        both = [(f"{node.module}.{name.name}", node.module) for name in node.names]
        return [whole if whole in MODULES else module for whole, module in both]
    return []


def imports(module: str) -> set[str]:
    """What a file imports of ours, also inside functions and for type checkers.

    The porch is left out: for type checkers alone it names what `import whichway` finds when it is used.
    """
    if module == "whichway":
        return set()
    return {name for node in ast.walk(tree(MODULES[module])) for name in imported(node) if name in MODULES}


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Groups of files that import each other, directly or not (Tarjan's components)."""
    numbers, low, stack, found, next_ = {}, {}, [], [], count()

    def visit(node: str) -> None:
        numbers[node] = low[node] = next(next_)
        stack.append(node)
        for other in sorted(graph[node]):
            if other not in numbers:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], numbers[other])
        if low[node] == numbers[node]:
            group = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(group) > 1 or node in graph[node]:
                found.append(sorted(group))

    for node in graph:
        if node not in numbers:
            visit(node)
    return found


def test_circles_are_found():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c"]]
    assert circles({"a": {"b"}, "b": set(), "c": {"b"}}) == []


def test_no_files_import_each_other():
    assert circles({module: imports(module) for module in MODULES}) == []
