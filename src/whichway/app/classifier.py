"""A scikit-learn classifier of texts: fit tries every way and keeps the winner, predict asks it."""

from __future__ import annotations

import tempfile
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length, check_is_fitted, column_or_1d, validate_data

from whichway.app.finished import FinishedRun
from whichway.app.python_words import speaks_python
from whichway.errors import DataError, OptionError, UserError
from whichway.nouns import Budget
from whichway.tasks.check import LEAST_ROWS

FIELD = "text"  # the input of a row that is a text alone
TARGET = "label"
PACKED = "_packed_run"
LEFT_OUT = ("report.html",)  # of a packed run: it can be written again


class UnfitData(DataError, ValueError):
    """Data that cannot be fitted; a ValueError as well, as scikit-learn wants it."""


class Classifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn is untyped
    """Prompting or fine-tuning, whichever a contest on the training rows finds better, behind scikit-learn's contract.

    `fit` splits its rows into train, dev and test, tries every way and keeps the winner; `run_` is the finished run.

    Args:
        model: a model folder or name; None: the default model.
        ways: names of ways, or a mapping from names to options; None: the default ways.
        minutes: for the whole contest, which then decides from what stands.
        budget: limits for each way in dollars, seconds and calls.
        seeds: how many.
        ask: what is asked of the model, in one line.
        folder: the run folder; None: a temporary one that goes with the estimator.
        options: other arguments of `ww.run`, by name: metric, margin, prompt, cache, ...
    """

    def __init__(
        self,
        model: str | Path | None = None,
        ways: Any = None,
        minutes: float | None = None,
        budget: Budget | None = None,
        seeds: int | Sequence[int] | None = None,
        ask: str | None = None,
        folder: str | Path | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self.model = model
        self.ways = ways
        self.minutes = minutes
        self.budget = budget
        self.seeds = seeds
        self.ask = ask
        self.folder = folder
        self.options = options

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        return tags

    @speaks_python
    def fit(self, X: Any, y: Any) -> Classifier:  # noqa: N803 - scikit-learn's name
        """Try every way on the rows and keep the winner.

        Args:
            X: texts, or a data frame or 2-D array whose columns are the fields of a row.
            y: the wanted labels, of any type that scikit-learn takes for classes.

        Raises:
            UnfitData: too few rows, one class only, or values that are no labels.
            UserError: the model or an argument is at fault.
        """
        rows = self._rows(X, reset=True)
        if y is None:
            raise ValueError("This Classifier requires y to be passed, but the target y is None.")
        labels = column_or_1d(y, warn=True)
        check_consistent_length(rows, labels)
        check_classification_targets(labels)
        classes, codes = np.unique(labels, return_inverse=True)
        names = [str(name) for name in classes.tolist()]
        if len(set(names)) != len(names):
            raise UnfitData(f"two classes are spelled alike: {', '.join(names)}.")
        self.classes_, self._names = classes, names
        self._usual = int(Counter(codes.tolist()).most_common(1)[0][0])  # what an answer that cannot be read counts as
        try:
            self.run_ = self._run([{**row, TARGET: names[code]} for row, code in zip(rows, codes, strict=True)])
        except DataError as error:
            raise UnfitData(str(error)) from error
        if self.run_.best is None:
            reasons = "; ".join(f"{s.way}: {s.reason}" for s in self.run_.verdict.standings)
            raise UserError(f"no way gave a classifier: {reasons}.")
        return self

    def _run(self, rows: list[dict[str, str]]) -> FinishedRun:
        from whichway.app.porch import run

        self._temporary = None if self.folder else tempfile.TemporaryDirectory(prefix="whichway-")
        out = Path(self.folder) if self.folder else Path(self._temporary.name) / "run"  # type: ignore[union-attr]
        arguments = {name: getattr(self, name) for name in ("model", "ways", "minutes", "budget", "seeds", "ask")}
        arguments |= {"name": "classifier", "probe": False, "labels": tuple(self._names), **(self.options or {})}
        fields = tuple(name for name in rows[0] if name != TARGET)
        if "out" in arguments:
            raise OptionError("options: say folder=... instead of out.")
        return run(rows, out=out, input=fields, target=TARGET, **arguments)

    @speaks_python
    def predict(self, X: Any) -> Any:  # noqa: N803
        """The winner's label for each row; where its answer cannot be read, the most frequent training label.

        Returns:
            an array of shape (n,), of the type of y.
        """
        check_is_fitted(self)
        code = {name: place for place, name in enumerate(self._names)}
        lines = self._answers(X)
        places = np.array([code.get(str(line["answer"]), self._usual) for line in lines], dtype=int)
        return self.classes_[places]

    @speaks_python
    def predict_proba(self, X: Any) -> Any:  # noqa: N803
        """The winner's probability of each label.

        They are the normalised exponentials of its label scores, calibration included. Where it writes its answer
        instead of scoring labels, the label it wrote has 1; where nothing could be read, all labels have the same.

        Returns:
            an array of shape (n, classes), rows summing to 1, in the order of `classes_`.
        """
        check_is_fitted(self)
        probabilities = np.full((0, len(self._names)), 0.0)
        lines = self._answers(X)
        if lines:
            probabilities = np.array([_probabilities(line, self._names) for line in lines])
        return probabilities

    def _answers(self, X: Any) -> list[dict[str, Any]]:  # noqa: N803
        rows = self._rows(X, reset=False)
        return self.run_.answer(rows) if rows else []

    def _rows(self, X: Any, reset: bool) -> list[dict[str, str]]:  # noqa: N803
        """Rows as fields of text, checked as scikit-learn checks them."""
        texts = _texts(X)
        if texts is not None:
            if reset:
                self.n_features_in_ = 1
                self._fields: tuple[str, ...] = (FIELD,)
            elif self._fields != (FIELD,):
                raise ValueError(f"X has 1 features, but Classifier is expecting {self.n_features_in_} features.")
            return [{FIELD: text} for text in texts]
        least = LEAST_ROWS if reset else 0  # told by scikit-learn's own message
        table = validate_data(self, X, dtype=None, reset=reset, ensure_min_samples=least)
        if reset:
            names = getattr(self, "feature_names_in_", None)
            self._fields = tuple(names) if names is not None else tuple(f"x{n}" for n in range(table.shape[1]))
        return [dict(zip(self._fields, map(_cell, row), strict=True)) for row in table.tolist()]

    def __getstate__(self) -> dict[str, Any]:
        """The state with the run folder packed into it, so that a pickle can be used elsewhere."""
        state: dict[str, Any] = dict(super().__getstate__())
        state.pop("_temporary", None)
        finished = state.pop("run_", None)
        if finished is not None:
            state[PACKED] = packed(finished)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Unpack the run into a temporary folder of its own."""
        files = state.pop(PACKED, None)
        super().__setstate__(state)
        if files is not None:
            self._temporary = tempfile.TemporaryDirectory(prefix="whichway-")
            self.run_ = unpacked(files, Path(self._temporary.name) / "run")


def packed(run: FinishedRun) -> dict[str, bytes]:
    """The files of a run by their relative paths, compressed; of trained parts only the winner's."""
    chosen = run.best.weights.adapter if run.best else None
    files = {}
    for path in sorted(run.path.rglob("*")):
        parts = path.relative_to(run.path).parts
        trained = "adapters" in parts and chosen not in parts
        if path.is_file() and not trained and parts[-1] not in LEFT_OUT:
            files["/".join(parts)] = zlib.compress(path.read_bytes())
    return files


def unpacked(files: Mapping[str, bytes], folder: Path) -> FinishedRun:
    """Write packed files and read the run."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(zlib.decompress(data))
    return FinishedRun(folder)


def _texts(X: Any) -> list[str] | None:  # noqa: N803
    """Texts from a list, an array or a series of them; None for anything else."""
    if isinstance(X, str | bytes) or hasattr(X, "columns") or getattr(X, "ndim", 1) != 1:
        return None
    if not hasattr(X, "__len__") or not hasattr(X, "__getitem__"):
        return None
    values = list(X)
    return [str(value) for value in values] if values and all(isinstance(value, str) for value in values) else None


def _cell(value: Any) -> str:
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def _probabilities(line: Mapping[str, Any], names: Sequence[str]) -> Any:
    scores = line.get("scores") or {}
    if any(name in scores for name in names):
        values = np.array([scores.get(name, -np.inf) for name in names], dtype=float)
        likely = np.exp(values - values.max())
        return likely / likely.sum()
    if line["answer"] in names:
        return np.array([float(name == line["answer"]) for name in names])
    return np.full(len(names), 1.0 / len(names))
