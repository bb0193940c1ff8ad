"""The structure of the package: sizes, no circles among imports, and one meaning for each name."""

import ast
from functools import cache
from itertools import count
from pathlib import Path

import whichway

ROOT = Path(whichway.__file__).parent
PARAMETERS = 8
FILES = sorted(ROOT.rglob("*.py"))


@cache
def tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def place(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def functions(file: Path):
    return (node for node in ast.walk(tree(file)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def parameters(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Those that a caller gives."""
    given = node.args
    return len([a for a in (*given.posonlyargs, *given.args, *given.kwonlyargs) if a.arg not in ("self", "cls")])


def test_no_function_takes_too_much():
    """A verb of the command line takes what its flags are."""
    counts = {
        f"{place(file)}:{node.name}": parameters(node)
        for file in FILES
        if not place(file).startswith("cli/verbs/")
        for node in functions(file)
    }
    assert {name: number for name, number in counts.items() if number > PARAMETERS} == {}


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
