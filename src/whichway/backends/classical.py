"""The backend of the classical baselines: the majority answer, and TF-IDF with logistic regression (scikit-learn).

They answer the same requests as a language model does: the text of the last message is the row. Trained parts are
saved as JSON and safetensors, so that loading one never runs code.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whichway.contracts import Session, Work
from whichway.errors import ModelError, did_you_mean
from whichway.nouns import Adapter, Reply, Request, TrainJob, Weights, digest, row_text
from whichway.training_kinds import KINDS, LabelSetOptions, kinds_of, options

if TYPE_CHECKING:
    from whichway.engine.train.one_vs_rest import LabelSetHead

BASES = ("majority", "tfidf")
SETS = "tfidf_multi_label"
_STRENGTH = 10.0  # inverse strength of regularisation
_FOLDS = 5  # that choose a threshold


def backend() -> ClassicalBackend:
    """The backend of this file."""
    return ClassicalBackend()


class ClassicalBackend:
    """The majority answer and TF-IDF as a backend."""

    name = "classical"

    @property
    def version(self) -> str:
        """Ours and scikit-learn's."""
        from importlib.metadata import version

        return f"classical 1, scikit-learn {version('scikit-learn')}"

    def weights(self, base: str) -> Weights:
        """`majority` or `tfidf`, untrained."""
        if base not in BASES:
            raise ModelError(f"there is no classical model '{base}'.{did_you_mean(base, BASES)}")
        return Weights(self.name, base, revision=base)

    def trains(self) -> frozenset[str]:
        """The kinds of training: "majority", "tfidf" and "tfidf_multi_label"."""
        return kinds_of(self.name)

    def answer_work(self, weights: Weights, request: Request, reply: Reply) -> Work:
        """The characters of a row."""
        return Work(f"{self.name} {weights.kind} answer", len(row_text(request.messages)) + 1, reply.seconds)

    def training_work(self, job: TrainJob, adapter: Adapter, before: Adapter | None) -> tuple[Work, ...]:
        """The characters of all rows."""
        size = sum(len(row_text(row.messages)) + 1 for row in job.rows)
        labels = job.labels or job.options.get("labels", ())
        return (Work(f"{self.name} {job.kind} fit {len(labels)}", size, adapter.seconds),)

    def expected_answers(self, weights: Weights, requests: Sequence[Request]) -> list[Work]:
        """The characters of rows."""
        return [self.answer_work(weights, request, Reply("")) for request in requests]

    def expected_training(self, job: TrainJob) -> tuple[Work, ...]:
        """The characters of all rows."""
        return self.training_work(job, Adapter(job.weights, 1, 1.0, None, 0.0, 0, 0), None)

    def open(self, weights: Weights, adapter: Path | None) -> AbstractContextManager[Session]:
        """Load a trained baseline.

        Raises:
            ModelError: it was never trained.
        """
        if adapter is None:
            raise ModelError(f"the classical model '{weights.base}' answers only after it was trained")
        sessions: dict[str, type[Majority] | type[TfIdf]] = {"majority": Majority, SETS: TfIdfLabelSets}
        return nullcontext(sessions.get(weights.kind, TfIdf)(adapter))

    def train(self, job: TrainJob, folder: Path, adapter: Path | None) -> Iterator[Adapter]:
        """Fit the baseline; yields one checkpoint."""
        settings: Any = options(KINDS[job.kind].options, job.options)
        start = time.perf_counter()
        name = digest(["classical", self.version, job.id])
        goal, temporary = folder / name, folder / f"{name}.tmp"
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        texts = [row_text(row.messages) for row in job.rows]
        answers = [row.answer for row in job.rows]
        if isinstance(settings, LabelSetOptions):
            _fit_label_sets(temporary, texts, answers, settings)
        else:
            (_fit_majority if job.kind == "majority" else _fit_tfidf)(temporary, texts, answers, job.labels)
        if not goal.exists():
            os.replace(temporary, goal)
        size = sum(f.stat().st_size for f in goal.iterdir())
        seconds = time.perf_counter() - start
        yield Adapter(
            Weights(self.name, job.weights.base, job.weights.revision, name, job.kind), 1, 1.0, None, seconds, 0, size
        )


def _fit_majority(folder: Path, texts: Sequence[str], answers: Sequence[str], labels: Sequence[str]) -> None:
    counts = Counter(answers)
    top = min(counts, key=lambda answer: (-counts[answer], answer))
    shares = {label: (counts[label] + 1) / (len(answers) + len(labels)) for label in labels}
    (folder / "majority.json").write_text(json.dumps({"answer": top, "shares": shares}), encoding="utf-8")


class Majority:
    """A session that gives the most frequent answer to every request."""

    def __init__(self, folder: Path) -> None:
        self._data = json.loads((folder / "majority.json").read_text(encoding="utf-8"))

    def choose(self, requests: Sequence[Request]) -> list[Reply]:
        """The majority label, with the labels' shares as scores."""
        import math

        shares = {label: math.log(share) for label, share in self._data["shares"].items()}
        return [Reply(self._data["answer"], scores=shares) for _ in requests]

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """The most frequent answer."""
        return [Reply(self._data["answer"]) for _ in requests]


def _vectorizer(words: dict[str, int] | None = None, characters: dict[str, int] | None = None) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import FeatureUnion

    return FeatureUnion(
        [
            ("words", TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, vocabulary=words)),
            (
                "characters",
                TfidfVectorizer(
                    analyzer="char_wb",
                    ngram_range=(3, 5),
                    sublinear_tf=True,
                    max_features=20_000,
                    vocabulary=characters,
                ),
            ),
        ]
    )


def _read(texts: Sequence[str]) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """Texts as a matrix, with the facts and the tensors that read other texts so."""
    vectorizer = _vectorizer()
    matrix = vectorizer.fit_transform(texts)
    parts = dict(vectorizer.transformer_list)
    tensors = {f"idf_{name}": part.idf_ for name, part in parts.items()}
    return matrix, {name: {k: int(v) for k, v in part.vocabulary_.items()} for name, part in parts.items()}, tensors


def _write(folder: Path, facts: dict[str, Any], tensors: dict[str, Any]) -> None:
    import numpy as np
    from safetensors.numpy import save_file

    (folder / "tfidf.json").write_text(json.dumps(facts, ensure_ascii=False), encoding="utf-8")
    save_file({k: np.ascontiguousarray(v) for k, v in tensors.items()}, folder / "tfidf.safetensors")


def _fit_label_sets(folder: Path, texts: Sequence[str], answers: Sequence[str], settings: LabelSetOptions) -> None:
    from whichway.engine.train import one_vs_rest

    matrix, facts, tensors = _read(texts)
    sets = one_vs_rest.LabelSets.of(answers, settings.labels)
    head, _ = one_vs_rest.fit(matrix.tocsr(), sets, (_STRENGTH,), settings.exact, _FOLDS, 0)
    facts |= {"answers": head.labels, "threshold": head.threshold, "least": head.least, "separator": head.separator}
    _write(folder, facts, tensors | {"weight": head.weight, "bias": head.bias})


def _fit_tfidf(folder: Path, texts: Sequence[str], answers: Sequence[str], labels: Sequence[str]) -> None:
    import numpy as np

    matrix, facts, tensors = _read(texts)
    if labels:
        head = _fit_head(matrix, answers)
        tensors |= {"weight": head[0], "bias": head[1]}
        facts["answers"] = head[2]
    else:
        coo = matrix.tocsr()
        tensors |= {"data": coo.data, "indices": coo.indices, "indptr": coo.indptr, "shape": np.array(coo.shape)}
        facts["answers"] = list(answers)
    _write(folder, facts, tensors)


def _fit_head(matrix: Any, answers: Sequence[str]) -> tuple[Any, Any, list[str]]:
    """Logistic regression: weight (labels, features), bias (labels,), label names."""
    import numpy as np
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    # C is fixed: cross-validating it took 30 times as long and moved accuracy by less than a point (dev/LOG.md)
    with threadpool_limits(1):  # products this small spend their time waiting for the other thread
        model = LogisticRegression(C=_STRENGTH, max_iter=300, tol=1e-3).fit(matrix, answers)
    weight, bias = model.coef_, model.intercept_
    if len(model.classes_) == 2:  # scikit-learn keeps one row for two labels
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    return weight, bias, [str(c) for c in model.classes_]


class TfIdf:
    """The fitted vectors, with a head for closed labels or the training rows themselves for free text."""

    def __init__(self, folder: Path) -> None:
        from safetensors.numpy import load_file

        self._facts = json.loads((folder / "tfidf.json").read_text(encoding="utf-8"))
        self._tensors = load_file(folder / "tfidf.safetensors")
        self._vectorizer = _vectorizer(self._facts["words"], self._facts["characters"])
        for name, part in self._vectorizer.transformer_list:
            part.idf_ = self._tensors[f"idf_{name}"]

    def choose(self, requests: Sequence[Request]) -> list[Reply]:
        """The label with the highest probability."""
        import numpy as np
        from scipy.special import log_softmax

        start = time.perf_counter()
        scores = log_softmax(self._matrix(requests) @ self._tensors["weight"].T + self._tensors["bias"], axis=1)
        names = self._facts["answers"]
        seconds = (time.perf_counter() - start) / max(1, len(requests))
        return [
            Reply(
                names[int(np.argmax(row))],
                seconds=seconds,
                scores={n: float(s) for n, s in zip(names, row, strict=True)},
            )
            for row in scores
        ]

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """The answer of the most similar training row."""
        import numpy as np
        from scipy.sparse import csr_matrix

        start = time.perf_counter()
        t = self._tensors
        rows = csr_matrix((t["data"], t["indices"], t["indptr"]), shape=tuple(t["shape"]))
        nearest = np.asarray((self._matrix(requests) @ rows.T).argmax(axis=1)).ravel()
        seconds = (time.perf_counter() - start) / max(1, len(requests))
        return [Reply(self._facts["answers"][int(i)], seconds=seconds) for i in nearest]

    def _matrix(self, requests: Sequence[Request]) -> Any:
        return self._vectorizer.transform([row_text(r.messages) for r in requests])


class TfIdfLabelSets(TfIdf):
    """The fitted vectors with a head for each label: an answer is a set of labels."""

    def choose(self, requests: Sequence[Request]) -> list[Reply]:
        """The one label that is likeliest."""
        from scipy.special import log_softmax

        start = time.perf_counter()
        scores = log_softmax(self._head(self._matrix(requests)), axis=1)
        seconds = (time.perf_counter() - start) / max(1, len(requests))
        names = self._facts["answers"]
        return [
            Reply(names[int(row.argmax())], seconds=seconds, scores=dict(zip(names, map(float, row), strict=True)))
            for row in scores
        ]

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """All labels whose probability is at least the threshold, as targets spell them."""
        start = time.perf_counter()
        answers = self._head.answers(self._head(self._matrix(requests)))
        seconds = (time.perf_counter() - start) / max(1, len(requests))
        return [Reply(answer, seconds=seconds) for answer in answers]

    @property
    def _head(self) -> LabelSetHead:
        from whichway.engine.train.one_vs_rest import LabelSetHead

        facts, tensors = self._facts, self._tensors
        how = {name: facts[name] for name in ("threshold", "least", "separator")}
        return LabelSetHead(tuple(facts["answers"]), tensors["weight"], tensors["bias"], **how)
