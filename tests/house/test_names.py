"""One name means one thing: no class is defined twice in the package, and no two files of one name mean two things."""

import ast
from collections import defaultdict
from pathlib import Path

import whichway

ROOT = Path(whichway.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))

# Classes that several files define, as the same thing.
CLASSES = {
    "Metric": "the contract, and the one metric of each file in tasks/metrics",
    "Options": "what a way or a metric can be set to: each file has its own, found by this name",
    "Index": "texts to compare others with, by terms or by vectors; both travel with a shipped prompt",
    "Winner": "the shipped program: what `use.py` offers, of a model and of a classifier",
}

VERBS = (
    *("advise", "breakeven", "check", "compare", "curves", "data_report", "doctor", "models", "plan", "predict", "run"),
    *("serve", "track"),
)
# Files of one name. A verb, what app does for it and the room that holds the thing are one thing in three places.
SAME = {
    **dict.fromkeys(VERBS, "a verb of the command line, the function of app that it calls, and what they are about"),
    **dict.fromkeys(
        ("answers", "examples", "judging", "order"),
        "lint's families of rules, named after the part of a prompt that they look at (a finding shows the name)",
    ),
    "advice": "the opinion before anything runs, and its page",
    "assertions": "promptfoo's assertions, and the metric that checks them",
    "folds": "cross-fitting: of a contest, of its verdict",
    "local": "on this machine: the backend of its models, the executor in its processes",
    "load": "from files into memory: a model, a task",
    "promptfoo": "that tool: its files read, its files written",
}


def twice(found: list[tuple[str, str]]) -> dict[str, list[str]]:
    places = defaultdict(list)
    for name, place in found:
        places[name].append(place)
    return {name: sorted(where) for name, where in places.items() if len(where) > 1}


def place(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def test_no_class_is_defined_twice():
    found = [
        (node.name, place(file))
        for file in FILES
        for node in ast.parse(file.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef)
    ]
    assert {name: where for name, where in twice(found).items() if name not in CLASSES} == {}


def test_no_two_files_of_one_name_mean_two_things():
    found = twice([(file.stem, place(file)) for file in FILES if file.name != "__init__.py"])
    assert {name: where for name, where in found.items() if name not in SAME} == {}


def test_a_name_used_twice_is_found():
    assert twice([("Row", "a.py"), ("Row", "b.py"), ("Run", "a.py")]) == {"Row": ["a.py", "b.py"]}
