"""whichway: for this task, with this model, engineer the prompt or fine-tune the weights?

```python
import whichway as ww

run = ww.run("tickets.csv", target="team", ask="Which team should handle this?", minutes=10)
print(run.verdict.headline)
run.predict(["where is my parcel?"])
run.ship("winner")
```

Everything below is imported when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from whichway.app.classifier import Classifier
    from whichway.app.finished import FinishedRun as Run
    from whichway.app.porch import check, compare, example, lint, plan, read_run, run
    from whichway.errors import (
        AdapterNotLive,
        BudgetSpent,
        DataError,
        DiskError,
        ModelError,
        NotAsMeasured,
        OptionError,
        PlanMismatch,
        ProtectedPart,
        UserError,
        WayFailed,
        WhichwayError,
    )
    from whichway.nouns import Budget, Candidate, Example, Prompt, Task, Verdict

__all__ = [
    "AdapterNotLive",
    "Budget",
    "BudgetSpent",
    "Candidate",
    "Classifier",
    "DataError",
    "DiskError",
    "Example",
    "ModelError",
    "NotAsMeasured",
    "OptionError",
    "PlanMismatch",
    "Prompt",
    "ProtectedPart",
    "Run",
    "Task",
    "UserError",
    "Verdict",
    "WayFailed",
    "WhichwayError",
    "check",
    "compare",
    "example",
    "lint",
    "plan",
    "read_run",
    "run",
]

_PLACES = {  # name -> (module, its name there); `lint` is the package of that name, which can be called
    **dict.fromkeys(("check", "compare", "example", "plan", "read_run", "run"), "whichway.app.porch"),
    **dict.fromkeys(("Budget", "Candidate", "Example", "Prompt", "Task", "Verdict"), "whichway.nouns"),
    "Classifier": "whichway.app.classifier",
    "Run": "whichway.app.finished",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'whichway' has no attribute '{name}'")
    from importlib import import_module

    if name == "lint":
        return import_module("whichway.lint")
    module = import_module(_PLACES.get(name, "whichway.errors"))
    value = getattr(module, "FinishedRun" if name == "Run" else name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
