"""A linear head over the labels on the last token's state, trained together with a LoRA adapter (arXiv 2512.12677).

An answer is one forward pass: no label tokens, no trie. While it is trained and asked, the head stands in the place of
the language model's own (`lm_head`), so everything that packs rows, shares prompts and computes gradients works as it
does for tokens: a row's "answer" is the number of its label. On disk it is what PEFT writes for a sequence classifier:
`AutoModelForSequenceClassification` of transformers takes the base, PEFT puts the adapter and the head (`score`) on it.

The head has no bias, as transformers' has none. It starts at zeros; started as the logistic regression on the frozen
states, which knows the training rows by heart already, it leaves the adapter little to learn (`dev/LOG.md`).
"""

from __future__ import annotations

import functools
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from whichway.engine.infer.row_reads import PromptRow
from whichway.engine.infer.session import InferenceSession, halving
from whichway.engine.model import decoder, forward, packing
from whichway.engine.model.attention import pack_train_batch
from whichway.engine.model.load import Model, fork
from whichway.engine.train import adapter_check, adapters
from whichway.engine.train.activation_cache import cached_tensors
from whichway.engine.train.adapter_check import Encoded
from whichway.errors import DataError, ModelError, WayFailed
from whichway.nouns import Reply, Request, TrainJob

if TYPE_CHECKING:
    from whichway.engine.train.frozen_states import FrozenStates

LABELS = "labels.json"
_CONFIG, _TENSORS = "adapter_config.json", "adapter_model.safetensors"
_SCORE = "base_model.model.score.weight"
_VERSION = 1
_TOKENS = 1024  # run together
_FLOOR = -20.0  # log-probability of a label that the head does not know
_GRID = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)


class _Linear(nn.Linear):
    """A head that takes states of any format, from whatever device the last layer is on."""

    def forward(self, states: Tensor) -> Tensor:
        """`[..., hidden]` to `[..., K]`."""
        return super().forward(states.to(self.weight))


def put(base: Any, weight: Tensor) -> Any:
    """A fork of `base` that gives `[K]` label scores in place of token logits; `weight` is `[K, hidden]`."""
    module = fork(base)
    head = _Linear(weight.shape[1], weight.shape[0], bias=False, device=module.device, dtype=weight.dtype)
    head.weight.data.copy_(weight)
    head.weight.requires_grad_(False)
    module.lm_head = head
    module.config.tie_word_embeddings = False
    if getattr(module.config, "final_logit_softcapping", None):  # a cap for tokens, not for labels
        module.config.final_logit_softcapping = None
    return module.eval()


def blank(model: Model, labels: Sequence[str]) -> Any:
    """A fork of the base with a head of zeros, in float32."""
    weight = torch.zeros(len(labels), model.hidden, device=model.device)
    return put(model.module, weight)


def encode(rows: Sequence[Encoded], job: TrainJob) -> list[Encoded]:
    """Rows whose answer is the number of their label.

    Raises:
        WayFailed: there is no closed set of labels, or the rows have only one.
        DataError: an answer is none of the labels.
    """
    if not job.labels:
        raise WayFailed("A head needs a closed set of labels.")
    if len({row.answer for row in job.rows}) < 2:
        raise WayFailed("A head needs training rows of at least two labels.")
    number = {label: n for n, label in enumerate(job.labels)}
    for place, row in enumerate(job.rows, 1):
        if row.answer not in number:
            raise DataError(f"Training row {place}: its answer {row.answer!r} is none of the labels.")
    return [Encoded(row.prompt, [number[one.answer]]) for row, one in zip(rows, job.rows, strict=True)]


def save(folder: Path, weight: Tensor, labels: Sequence[str]) -> None:
    """Add the head to the PEFT folder that its adapter was saved in, as that of a sequence classifier."""
    from safetensors.torch import load_file, save_file

    config: dict[str, Any] = json.loads((folder / _CONFIG).read_text(encoding="utf-8"))
    config |= {"task_type": "SEQ_CLS", "modules_to_save": ["score"]}
    (folder / _CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True), encoding="utf-8")
    tensors = load_file(folder / _TENSORS) | {_SCORE: weight.detach().float().cpu().contiguous()}
    save_file(tensors, folder / _TENSORS, metadata={"format": "pt"})
    (folder / LABELS).write_text(json.dumps(list(labels), ensure_ascii=False), encoding="utf-8")


# The start as a logistic regression


def fitted(
    model: Model, rows: Sequence[Encoded], prefix: Sequence[int], count: int, folder: Path, below: FrozenStates | None
) -> Tensor:
    """The weight `[K, hidden]` of a logistic regression on the frozen states of the rows' last tokens.

    Args:
        model: the base.
        rows: with label numbers as answers.
        prefix: what their prompts begin with.
        count: of labels.
        folder: of the training; states are kept beside it for all trials and seeds.
        below: the states in front of the first trained layer, when they are known.
    """
    key = ["last", _VERSION, model.revision, str(model.module.dtype), len(prefix), [row.prompt for row in rows]]
    states = cached_tensors(folder, key, lambda: {"states": _last_states(model, rows, prefix, below)})["states"].numpy()
    return torch.from_numpy(fit(states, np.array([row.answer[0] for row in rows]), count)).to(model.device)


@torch.no_grad()
def _last_states(model: Model, rows: Sequence[Encoded], prefix: Sequence[int], below: FrozenStates | None) -> Tensor:
    """States `[B, hidden]` after the last layer's norm, float32."""
    own_decoder = decoder.decoder_of(model.module)
    places = sorted(range(len(rows)), key=lambda n: len(rows[n].prompt))
    step = max(1, _TOKENS // max(1, len(rows[places[-1]].prompt) - len(prefix)))
    states_by_row: dict[int, Tensor] = {}
    shared = None if own_decoder is not None else forward.run_prefix(model.module, prefix, model.device)
    for start in range(0, len(places), step):
        here = places[start : start + step]
        few = [rows[n] for n in here]
        if own_decoder is not None:
            paper = pack_train_batch([(row.prompt, row.answer) for row in few], prefix, model.device)
            states = own_decoder.above(paper, below(few) if below else None, below.first if below else 0)
        else:
            lengths = [len(row.prompt) - len(prefix) for row in few]
            layout = packing.pack_rows(lengths, len(prefix), model.device, prefix=shared)
            ids = torch.tensor([i for row in few for i in row.prompt[len(prefix) :]], device=model.device)
            ends = torch.tensor(lengths, device=model.device).cumsum(0) - 1
            states = forward.depths(model.module, ids, layout)[-1][ends]
        states_by_row |= dict(zip(here, states.float().cpu(), strict=True))
    return torch.stack([states_by_row[n] for n in range(len(rows))])


def fit(states: np.ndarray[Any, Any], wanted: np.ndarray[Any, Any], count: int) -> np.ndarray[Any, Any]:
    """The weight `[K, F]` of a logistic regression without a bias on states `[B, F]`; labels without a row get zeros.

    States are scaled, not centred: what they have in common is the bias.
    """
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    scale = states.std(0) + 1e-6
    scale = np.maximum(scale, 0.1 * float(np.median(scale)))  # a number that hardly differs must not get a huge weight
    inputs = states / scale
    with threadpool_limits(1):
        model = LogisticRegression(C=_choose_c(inputs, wanted), max_iter=300, tol=1e-3, fit_intercept=False)
        model.fit(inputs, wanted)
    weight = model.coef_ if len(model.classes_) > 2 else np.concatenate([-model.coef_, model.coef_]) / 2
    whole = np.zeros((count, states.shape[1]), np.float32)
    whole[model.classes_] = weight / scale
    return whole


def _choose_c(inputs: np.ndarray[Any, Any], wanted: np.ndarray[Any, Any]) -> float:
    """The regularisation with the least held-out loss over three folds; the stronger of equals."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold

    if min(Counter(wanted.tolist()).values()) < 3:
        return 0.01
    folds = list(StratifiedKFold(3, shuffle=True, random_state=0).split(inputs, wanted))

    def loss(c: float) -> float:
        total = 0.0
        for a, b in folds:
            model = LogisticRegression(C=c, max_iter=100, tol=1e-2, fit_intercept=False).fit(inputs[a], wanted[a])
            place = {label: n for n, label in enumerate(model.classes_)}
            logs = model.predict_log_proba(inputs[b])
            total -= float(sum(logs[n, place[label]] for n, label in enumerate(wanted[b])))
        return total

    return min(_GRID, key=lambda c: (loss(c), c))


# Answering


class HeadSession(InferenceSession):
    """A session that answers with labels, by a head in one forward pass; it cannot write."""

    def __init__(self, model: Model, module: Any, labels: Sequence[str]) -> None:
        """`module`: a fork with the head (see `put`) and the adapter."""
        super().__init__(model, module)
        self.labels = tuple(labels)

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """A head has no words of its own."""
        raise WayFailed(f"A head answers with one of its labels; it cannot write ({len(requests)} asked).")

    def read(self, texts: Sequence[str]) -> list[Reply]:
        """A head predicts no tokens."""
        raise WayFailed(f"A head answers with one of its labels; it predicts no text ({len(texts)} given).")

    def too_long(self, request: Request, prompt: Sequence[int]) -> Reply | None:
        """As above, without the labels: a head has one output for each."""
        return super().too_long(replace(request, labels=()), prompt)

    def _choose(self, rows: list[PromptRow]) -> list[Reply]:
        replies: dict[int, Reply] = {}
        for batch in self._batches(rows, 0):
            scores = halving(functools.partial(self._timed, work=self._label_scores), batch)
            for row, numbers in zip(batch, scores, strict=True):
                counts = self._counts(row, row.number == self._first)
                known = dict(zip(self.labels, numbers, strict=True))
                replies[row.number] = pick(row.request, known, Reply("", *counts, 0, row.seconds))
        return [replies[row.number] for row in rows]

    def _label_scores(self, rows: list[PromptRow]) -> list[list[float]]:
        """Log-probability of each label for each row; one forward pass."""
        lengths, device = [len(row.ids) for row in rows], self.model.device
        even = forward.even(self.module)
        layout = packing.pack_rows(lengths, len(self.prefix.ids), device, prefix=self.prefix.layers, even=even)
        ids = torch.tensor([i for row in rows for i in row.ids], device=device)
        ends = torch.tensor(lengths, device=device).cumsum(0) - 1
        scores = self._logits(rows, ids, layout, ends).float().log_softmax(-1)
        numbers: list[list[float]] = scores.tolist()
        return numbers


def pick(request: Request, known: dict[str, float], counted: Reply) -> Reply:
    """The likeliest of a request's labels, the first of equals; `known`: log-probabilities by label."""
    bias = dict(request.decoding.bias)
    scores = {label: known.get(label, _FLOOR) + bias.get(label, 0.0) for label in request.labels}
    return replace(counted, text=max(scores, key=lambda label: scores[label]), scores=scores)


def open_session(model: Model, folder: Path) -> HeadSession:
    """A session on the base with the adapter and head in `folder`, which are proved live.

    Raises:
        ModelError: they do not fit this model.
        AdapterNotLive: the adapter changes nothing, or it does not answer as when it was saved.
    """
    from safetensors import safe_open

    try:
        labels = json.loads((folder / LABELS).read_text(encoding="utf-8"))
        with safe_open(folder / _TENSORS, "pt") as file:
            weight = file.get_tensor(_SCORE)
            moved = any(bool(file.get_tensor(name).any()) for name in file.keys() if "lora_B" in name)  # noqa: SIM118
    except Exception as error:  # files that are missing, or of another kind
        raise ModelError(f"{folder} holds no head over labels: {str(error).splitlines()[0]}") from error
    if tuple(weight.shape) != (len(labels), model.hidden):
        raise ModelError(f"The head in {folder} does not fit this model: its weight is {tuple(weight.shape)}.")
    base = put(model.module, weight.to(model.module.dtype))
    module = adapters.lora(base, folder)
    # After a first step from a head of zeros the head alone has moved: then it is what must be seen to answer.
    adapter_check.check(folder, model, module, base if moved else blank(model, labels))
    return HeadSession(model, module, labels)
