"""Direct preference optimisation (Rafailov et al. 2023, arXiv 2305.18290): a LoRA policy against the frozen base.

A job's rows come in pairs: the wanted answer, then the unwanted one, to the same prompt. The loss of a pair is
-log sigmoid(beta * (log pi(wanted) - log ref(wanted) - log pi(unwanted) + log ref(unwanted))), with log-probabilities
summed over the answer's tokens; a step's loss is the mean over its pairs. What the reference says is computed once.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Sequence

import torch
from torch.nn import functional as F  # noqa: N812

from whichway.engine.model import forward
from whichway.engine.model.token_cost import token_cost
from whichway.engine.train import trainer
from whichway.engine.train.adapter_check import Encoded
from whichway.training_kinds import DpoOptions

_TOKENS = 1024  # that the reference reads at once


class PairRun(trainer.TrainingRun):
    """A training on pairs of rows."""

    unit = 2

    def _amount(self, batch: Sequence[Encoded]) -> int:
        return len(batch) // 2

    def _piece(self, rows: Sequence[Encoded], trained: int) -> float:
        assert isinstance(self.settings, DpoOptions)
        losses = trainer.row_losses(self.trainable.module, rows, self.prefix, self.trainable.masters, self.below)
        policy_logprobs = -torch.stack([part.sum() for part in torch.split(losses, [len(row.answer) for row in rows])])
        known = [self._reference[_key(row)] for row in rows]
        gained = policy_logprobs - torch.tensor(known, dtype=policy_logprobs.dtype, device=policy_logprobs.device)
        loss = -F.logsigmoid(self.settings.beta * (gained[0::2] - gained[1::2])).sum() / trained
        torch.autograd.backward(loss)
        return float(loss.detach())

    def _read_before(self) -> dict[str, tuple[float, float]]:
        rows = (len(row.prompt) + len(row.answer) - 1 for row in self.rows)
        cost, front = token_cost(self.model.folder), len(self.prefix)
        units = cost.read(front) + sum(cost.read(size - front, front) for size in rows)
        _ = self._reference  # of a training that goes on at its last step
        return {"read": (units, self._reference_seconds)}

    @functools.cached_property
    def _reference(self) -> dict[tuple[int, ...], float]:
        """The base's log-probability of every row's answer, in nats."""
        start = time.perf_counter()
        module = self.model.module
        by_row: dict[tuple[int, ...], float] = {}
        with torch.no_grad():
            shared = forward.run_prefix(module, self.prefix, module.device)
            for piece in self._small_pieces():
                pairs = [(row.prompt, row.answer) for row in piece]
                logprobs = forward.answer_logprobs(module, pairs, shared, len(self.prefix))
                parts = torch.split(logprobs, [len(row.answer) for row in piece])
                by_row.update((_key(row), float(part.sum())) for row, part in zip(piece, parts, strict=True))
        self._reference_seconds = time.perf_counter() - start
        return by_row

    def _small_pieces(self) -> list[list[Encoded]]:
        pieces: list[list[Encoded]] = [[]]
        for row in self.rows:
            if pieces[-1] and self._size(pieces[-1]) + self._size([row]) > _TOKENS:
                pieces.append([])
            pieces[-1].append(row)
        return pieces


def _key(row: Encoded) -> tuple[int, ...]:
    return (*row.prompt, -1, *row.answer)
