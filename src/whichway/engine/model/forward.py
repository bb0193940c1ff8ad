"""One forward pass over packed rows: through our own decoder where it knows the model, else through transformers.

Both give the same numbers; `load.prove` compares them when a model is opened.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from whichway.engine.model import packing
from whichway.engine.model.decoder import Decoder, decoder_of
from whichway.engine.model.packing import Layout, PrefixCache, pack_rows
from whichway.engine.model.prefix_attention import KeyValue
from whichway.engine.model.weights import PARTS


def logits(module: Any, ids: Tensor, layout: Layout, keep: Tensor, only: Tensor | None = None) -> Tensor:
    """Logits `[K, V]` at the packed positions `keep`; the head runs nowhere else. `only`: of these tokens `[T]`."""
    own_decoder, ids = _own_decoder(module), _padded(ids, layout)
    if own_decoder is not None:
        return own_decoder.logits(ids, layout, keep, only)
    # A list goes to whatever device the last layer is on; a tensor would be moved to that of the first one.
    places = keep.tolist() if in_parts(module) else keep
    out = torch.as_tensor(module(**_inputs(ids, layout), logits_to_keep=places).logits[0])
    return out if only is None else out.index_select(1, only)


def depths(module: Any, ids: Tensor, layout: Layout) -> list[Tensor]:
    """Hidden states `[R, hidden]` at three depths: the embeddings, the middle layer, after the last layer's norm."""
    own_decoder = _own_decoder(module)
    if own_decoder is not None:
        return own_decoder.depths(ids, layout)
    every = module.base_model(**_inputs(ids, layout), output_hidden_states=True).hidden_states
    return [every[n][0].to(ids.device) for n in (0, len(every) // 2, -1)]


def logits_and_depths(
    module: Any, ids: Tensor, layout: Layout, keep: Tensor, only: Tensor
) -> tuple[Tensor, list[Tensor]]:
    """What `logits` and `depths` give, in one pass of a module that our decoder knows."""
    own_decoder = _own_decoder(module)
    assert own_decoder is not None
    return own_decoder.logits_and_depths(_padded(ids, layout), layout, keep, only)


def logits_from(
    module: Any, ids: Tensor, layout: Layout, keep: Tensor, only: Tensor | None, resume: tuple[int, Tensor | None]
) -> tuple[Tensor, Tensor]:
    """Logits as `logits` gives them, of a module that our decoder knows, and the states in front of a layer.

    Args:
        module: the model.
        ids: packed tokens.
        layout: of them.
        keep: where logits are wanted.
        only: tokens whose logits are wanted; None: all.
        resume: the layer, and the states in front of it where they are known; None: they are computed.
    """
    own_decoder = _own_decoder(module)
    assert own_decoder is not None
    first, states = resume
    if states is not None:
        states = F.pad(states, (0, 0, 0, len(layout.positions) - len(states)))
    return own_decoder.logits_from(_padded(ids, layout), layout, keep, only, (first, states))


def _padded(ids: Tensor, layout: Layout) -> Tensor:
    return F.pad(ids, (0, len(layout.positions) - len(ids)))


def _own_decoder(module: Any) -> Decoder | None:
    # Autograd follows transformers' own layers; our decoder has its gradients by hand (`decoder_loss.Losses`).
    return None if torch.is_grad_enabled() else decoder_of(module)


def in_parts(module: Any) -> bool:
    """Whether a module's layers lie on several devices; see `placement`."""
    return bool(getattr(module, PARTS, None))


def even(module: Any) -> bool:
    """Whether passes through this module are padded to even sizes."""
    return not torch.is_grad_enabled() and packing.pads_shapes(module.dtype, module.device)


def _inputs(ids: Tensor, layout: Layout) -> dict[str, Any]:
    # A mask of four dimensions is passed on as it is, so that none is built; our attention reads the layout instead.
    mask = torch.zeros(1, 1, 1, 1, device=ids.device)
    fed = {"input_ids": ids[None], "position_ids": layout.positions[None], "attention_mask": mask}
    return {**fed, "use_cache": False, "layout": layout}


def run_prefix(
    module: Any,
    ids: Sequence[int],
    device: torch.device,
    front: PrefixCache | None = None,
    seen: dict[int, Tensor] | None = None,
) -> list[KeyValue] | None:
    """Keys and values of the shared prefix, one pair `[N, P, D]` per layer; None when there is no prefix.

    Outside `torch.no_grad` they carry gradients, so that all rows train what the prefix runs through.

    Args:
        module: the model.
        ids: of the prefix.
        device: where the model is.
        front: a prefix in front of it that was run before; what is returned begins with it.
        seen: gets the states in front of the middle layer, where our decoder knows the module.
    """
    start, before = (0, None) if front is None else (len(front.ids), front.layers)
    if not ids:
        return before
    layout = pack_rows([len(ids)], start, device, prefix=before, keep=True)
    tokens, own_decoder = torch.tensor(ids, device=device), _own_decoder(module)
    if own_decoder is not None:
        own_decoder.fill(tokens, layout, seen)
    else:
        module.base_model(**_inputs(tokens, layout))
    assert layout.key_values is not None
    key_values = [layout.key_values[layer] for layer in sorted(layout.key_values)]
    if before is None:
        return key_values
    return [(torch.cat([a, k], 1), torch.cat([b, v], 1)) for (a, b), (k, v) in zip(before, key_values, strict=True)]


def answer_logprobs(
    module: Any,
    rows: Sequence[tuple[Sequence[int], Sequence[int]]],
    prefix: Sequence[KeyValue] | None,
    start: int,
    spans: Sequence[Sequence[tuple[int, int]]] | None = None,
) -> Tensor:
    """Log-probability of every answer token, rows one after the other.

    Args:
        module: the model.
        rows: (prompt, answer) token ids; the last answer token is predicted, never fed.
        prefix: keys and values of the first `start` prompt tokens of all rows.
        start: length of the prefix.
        spans: earlier answers in each row's prompt, behind the prefix, that are read as well: `(start, end)`.
    """
    device = module.device
    fed, keep, targets = _predicted(rows, start, spans)
    layout = pack_rows([len(ids) for ids in fed], start, device, prefix=prefix, even=even(module))
    return _logprobs(module, [i for row in fed for i in row], layout, (keep, targets))


def whole_logprobs(
    module: Any,
    rows: Sequence[tuple[Sequence[int], Sequence[int]]],
    prefix: Sequence[int],
    spans: Sequence[Sequence[tuple[int, int]]] | None = None,
) -> Tensor:
    """What `answer_logprobs` gives, with the shared prefix run in the same pass.

    Args:
        module: the model.
        rows: (prompt, answer) token ids.
        prefix: token ids that all prompts begin with.
        spans: as there.
    """
    device, size = module.device, len(prefix)
    fed, keep, targets = _predicted(rows, size, spans)
    layout: Layout = pack_rows([len(ids) for ids in fed], size, device)
    if size:
        layout = packing.PrefixedRows(pack_rows([size], 0, device), pack_rows([len(ids) for ids in fed], size, device))
    tokens = [*prefix, *(i for row in fed for i in row)]
    return _logprobs(module, tokens, layout, ([place + size for place in keep], targets))


def _predicted(
    rows: Sequence[tuple[Sequence[int], Sequence[int]]],
    start: int,
    spans: Sequence[Sequence[tuple[int, int]]] | None,
) -> tuple[list[list[int]], list[int], list[int]]:
    """The ids of each row after the prefix, the places in them from which answers are predicted, and their tokens."""
    fed = [[*prompt[start:], *answer[:-1]] for prompt, answer in rows]
    keep: list[int] = []
    targets: list[int] = []
    first = 0
    for (prompt, answer), more, ids in zip(rows, spans or [()] * len(rows), fed, strict=True):
        at, whole = packing.predicted(len(prompt), len(answer), more), [*prompt, *answer]
        keep.extend(first + place - start for place in at)
        targets.extend(whole[place + 1] for place in at)
        first += len(ids)
    return fed, keep, targets


def _logprobs(module: Any, ids: list[int], layout: Layout, wanted: tuple[list[int], list[int]]) -> Tensor:
    """Log-probability of the tokens `wanted[1]` at the places `wanted[0]`."""
    keep, targets = (torch.tensor(numbers, device=module.device) for numbers in wanted)
    out = logits(module, torch.tensor(ids, device=module.device), layout, keep).float()
    return -F.cross_entropy(out, targets, reduction="none")
