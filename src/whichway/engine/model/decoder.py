"""A decoder's forward and backward over packed rows, without the overhead of modules.

Answering runs it over a `pack.Layout` and keeps nothing. Learning runs it over a `Sheet`: the shared prefix once, then
all rows, and its backward by hand. In the last layer only what is asked for is computed: keys and values of all tokens,
the rest at trained (or scored) positions. The first layer's input gets no gradient when the embeddings are frozen.

`Decoder` holds the weights of one model; `decoder_of` finds or makes it, and says None for a model that is run through
transformers instead.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from whichway.engine.model import layers, packing
from whichway.engine.model.attention import Attention, PackedTrainBatch
from whichway.engine.model.prefix_attention import AttentionParams
from whichway.engine.model.weights import DecoderWeights, Layer, Norm, Unknown, read

_own_decoders: weakref.WeakKeyDictionary[Any, Decoder | None] = weakref.WeakKeyDictionary()


def decoder_of(module: Any) -> Decoder | None:
    """The decoder over a module's weights (made once); None: it must be run through transformers."""
    if module not in _own_decoders:
        try:
            _own_decoders[module] = Decoder(read(module))
        except Unknown:
            _own_decoders[module] = None
    return _own_decoders[module]


def known(module: Any) -> Decoder:
    """The decoder of a module that is known to have one."""
    own_decoder = decoder_of(module)
    assert own_decoder is not None
    return own_decoder


def register(module: Any, own_decoder: Decoder) -> None:
    """Run this module through a decoder made elsewhere."""
    _own_decoders[module] = own_decoder


def unregister(module: Any) -> None:
    """Run this module through transformers from now on."""
    _own_decoders[module] = None


@dataclass(slots=True)
class SavedForBackward:
    """What the backward of one training pass needs."""

    first: int
    tape: list[Any] = field(default_factory=list)  # one entry per layer
    rotation: tuple[Tensor, Tensor] | None = None
    attentions: dict[Any, list[Attention]] = field(default_factory=dict)


class Decoder:
    """One decoder's weights, and how to run them."""

    def __init__(self, weights: DecoderWeights) -> None:
        self.weights = weights
        self.wide = torch.float64 if weights.dtype == torch.float64 else torch.float32  # format of states
        self.how = [AttentionParams(weights.depth**-0.5, layer.window) for layer in weights.layers]

    # Answering

    @torch.no_grad()
    def logits(self, ids: Tensor, layout: packing.Layout, keep: Tensor, only: Tensor | None = None) -> Tensor:
        """Logits `[K, V]` at the packed positions `keep`, or `[K, T]` of the tokens `only`."""
        normal, _ = layers.norm(self._run(ids, layout, keep), self.weights.norm)
        head = self.weights.head.value
        return F.linear(normal, head if only is None else head.index_select(0, only))

    @torch.no_grad()
    def logits_and_depths(
        self, ids: Tensor, layout: packing.Layout, keep: Tensor, only: Tensor
    ) -> tuple[Tensor, list[Tensor]]:
        """What `logits` and `depths` give, in one pass."""
        states = self.depths(ids, layout)
        return F.linear(states[-1].index_select(0, keep), self.weights.head.value.index_select(0, only)), states

    @torch.no_grad()
    def logits_from(
        self, ids: Tensor, layout: packing.Layout, keep: Tensor, only: Tensor | None, resume: tuple[int, Tensor | None]
    ) -> tuple[Tensor, Tensor]:
        """What `logits` gives, and the states in front of a layer: computed, or given so that it starts there."""
        (first, states), seen = resume, dict[int, Tensor]()
        last = self._run(ids, layout, keep, seen, {first}, first, states)
        normal, _ = layers.norm(last, self.weights.norm)
        head = self.weights.head.value
        logits = F.linear(normal, head if only is None else head.index_select(0, only))
        return logits, seen[first] if states is None else states

    @torch.no_grad()
    def fill(self, ids: Tensor, layout: packing.Layout, seen: dict[int, Tensor] | None = None) -> None:
        """Compute keys and values of all layers, and no logits; `layout.key_values` takes them.

        `seen`: gets the states in front of the middle layer.
        """
        self._run(ids, layout, ids[:0], seen, {len(self.weights.layers) // 2})

    @torch.no_grad()
    def depths(self, ids: Tensor, layout: packing.Layout) -> list[Tensor]:
        """States `[R, hidden]` at three depths: the embeddings, the middle layer, after the last layer's norm."""
        count = len(self.weights.layers)
        seen: dict[int, Tensor] = {}
        last = self._run(ids, layout, None, seen, {0, count // 2})
        return [seen[0], seen[count // 2], layers.norm(last, self.weights.norm)[0]]

    @torch.no_grad()
    def below(self, sheet: PackedTrainBatch, first: int) -> Tensor:
        """States `[T, hidden]` in front of layer `first`, of the prefix and all rows."""
        saved = SavedForBackward(0)
        states = self.embed(sheet.ids, sheet.positions)
        saved.rotation = self.rotation(sheet.positions)
        for n in range(first):
            states = self._forward(n, states, sheet, saved)
            saved.tape.clear()
        return states

    @torch.no_grad()
    def above(self, sheet: PackedTrainBatch, states: Tensor | None, first: int) -> Tensor:
        """States `[M, hidden]` after the last layer's norm at `sheet.keep`.

        `states`: those in front of layer `first`; None: run from the embeddings.
        """
        saved = SavedForBackward(first)
        if states is None:
            states = self.embed(sheet.ids, sheet.positions)
        saved.rotation = self.rotation(sheet.positions)
        for n in range(first, len(self.how)):
            states = self._forward(n, states, sheet, saved)
            saved.tape.clear()
        return layers.norm(states, self.weights.norm)[0]

    def _run(
        self, ids: Tensor, layout: packing.Layout, keep: Tensor | None, seen: dict[int, Tensor] | None = None,
        wanted: set[int] = frozenset(), first: int = 0, states: Tensor | None = None,  # type: ignore[assignment]
    ) -> Tensor:  # fmt: skip
        """States after the last layer, from the embeddings or from `states`, which are those in front of `first`."""
        begin = 0 if states is None else first
        states = self.embed(ids, layout.positions) if states is None else states
        rotation = self.rotation(layout.positions)
        for n, layer in enumerate(self.weights.layers[begin:], begin):
            if seen is not None and n in wanted:
                seen[n] = states.clone()
            states = self._layer(states, n, layer, layout, rotation, keep if n == len(self.how) - 1 else None)
        return states

    def _layer(
        self, states: Tensor, n: int, layer: Layer, layout: packing.Layout, rotation: Any, keep: Tensor | None
    ) -> Tensor:
        normal, _ = layers.norm(states, layer.input_norm)
        if keep is not None and self._few(layer, layout, keep):
            mixed = self._attend_few(normal, n, layer, layout, rotation, keep)
            return self._behind(mixed, states.index_select(0, keep), layer)
        qkv, _ = layers.linear(normal, layer.qkv)
        q, k, v = self._heads(qkv)
        q, k = self._turn(q, layer.q_norm, rotation), self._turn(k, layer.k_norm, rotation)
        if keep is not None and not len(keep):
            layout.store(n, k.transpose(0, 1), v.transpose(0, 1))
            return states[:0]
        mixed = layout.attend(n, q.transpose(0, 1), k.transpose(0, 1), v.transpose(0, 1), self.how[n]).flatten(1)
        if keep is not None:
            mixed, states = mixed.index_select(0, keep), states.index_select(0, keep)
        return self._behind(mixed, states, layer)

    def _few(self, layer: Layer, layout: packing.Layout, keep: Tensor) -> bool:
        """Whether the last layer can be asked for these tokens alone."""
        whole = len(keep) in (0, len(layout.positions))
        return (
            not whole and isinstance(layout, packing.PackedRows) and layer.qkv.splits(self._width) and layout.even(keep)
        )

    @property
    def _width(self) -> int:
        """The width of all queries together."""
        return self.weights.heads * self.weights.depth

    def _attend_few(
        self, normal: Tensor, n: int, layer: Layer, layout: packing.Layout, rotation: Any, keep: Tensor
    ) -> Tensor:
        """Attention of the kept tokens `[K, H D]`: keys and values of all, queries of these."""
        assert isinstance(layout, packing.PackedRows)
        w = self.weights
        asking, telling = layer.qkv.split(self._width)
        q = layers.linear(normal.index_select(0, keep), asking)[0].view(len(keep), w.heads, w.depth)
        kv = layers.linear(normal, telling)[0].view(len(normal), 2 * w.key_heads, w.depth)
        k, v = torch.split(kv, w.key_heads, dim=1)
        some = None if rotation is None else tuple(t.index_select(0, keep) for t in rotation)
        q, k = self._turn(q, layer.q_norm, some), self._turn(k, layer.k_norm, rotation)
        q, k, v = (t.transpose(0, 1) for t in (q, k, v))
        return layout.ask(n, q, k, v, self.how[n], keep).flatten(1)

    def _behind(self, mixed: Tensor, states: Tensor, layer: Layer) -> Tensor:
        """What follows attention in a layer."""
        states = states + layers.linear(mixed, layer.out)[0]
        normal, _ = layers.norm(states, layer.post_attention_norm)
        opened, _ = layers.activate(layers.linear(normal, layer.up)[0], self.weights.activation, self.weights.gated)
        return states.add_(layers.linear(opened, layer.down)[0])

    def _heads(self, qkv: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        w = self.weights
        q, k, v = torch.split(qkv.view(len(qkv), -1, w.depth), [w.heads, w.key_heads, w.key_heads], dim=1)
        return q, k, v

    def _turn(self, states: Tensor, norm: Norm | None, rotation: tuple[Tensor, Tensor] | None) -> Tensor:
        """Norm of queries or keys where the model has one, then rotation by position."""
        kind = states.dtype
        if norm is not None:
            states, _ = layers.norm(states.to(self.wide), norm)
        return states if rotation is None else layers.rotate(states, *rotation).to(kind)

    def embed(self, ids: Tensor, positions: Tensor) -> Tensor:
        """States `[T, hidden]` in front of the first layer."""
        w = self.weights
        states = F.embedding(ids, w.embed.value)
        if w.scale != 1.0:
            states = states * torch.tensor(w.scale, dtype=states.dtype)
        if w.positions is not None:
            states = states + F.embedding(positions, w.positions.value)
        return states.to(self.wide)

    def rotation(self, positions: Tensor) -> tuple[Tensor, Tensor] | None:
        """Cosines `[T, 1, D]` and sines `[T, 1, D / 2]`, or None with learned positions."""
        w = self.weights
        if w.rotary is None:
            return None
        cos, sin = w.rotary(torch.empty(1, dtype=self.wide, device=positions.device), positions[None])
        return cos[0, :, None], sin[0, :, None, : w.depth // 2]

    # Learning

    def forward(self, sheet: PackedTrainBatch, saved: SavedForBackward, states: Tensor | None = None) -> Tensor:
        """States `[M, hidden]` after the last layer at `sheet.keep`; `states`: those in front of `saved.first`."""
        if states is None:
            states = self.embed(sheet.ids, sheet.positions)
        saved.rotation = self.rotation(sheet.positions)
        for n in range(saved.first, len(self.how)):
            states = self._forward(n, states, sheet, saved)
        return states

    def _attention(self, sheet: PackedTrainBatch, saved: SavedForBackward, n: int, last: bool) -> list[Attention]:
        window = self.how[n].window
        if (last, window) not in saved.attentions:
            w, blocks = self.weights, sheet.last(window) if last else sheet.blocks(window)
            attentions = [Attention(block, w.heads, w.key_heads, self.how[n].scaling) for block in blocks]
            saved.attentions[last, window] = attentions
        return saved.attentions[last, window]

    def _forward(self, n: int, states: Tensor, sheet: PackedTrainBatch, saved: SavedForBackward) -> Tensor:
        w, layer = self.weights, self.weights.layers[n]
        last = n == len(self.how) - 1
        normal, before = layers.norm(states, layer.input_norm)
        keep = sheet.keep if last else None
        qkv, qkv_saved = self._qkv(normal, layer, keep)
        q, k, v, turned = self._rotated(qkv, layer, saved.rotation, keep)
        out: list[Tensor] = []
        attended: list[Any] = []
        start = 0
        for attention in self._attention(sheet, saved, n, last):
            stop = start + (sheet.prefix if len(out) == 0 and not last and sheet.prefix else len(q) - start)
            mixed, needed = attention.forward(q[start:stop], k, v)
            out.append(mixed)
            attended.append(needed)
            start = stop
        mixed, projected = layers.linear(out[0] if len(out) == 1 else torch.cat(out), layer.out)
        states = states + mixed if keep is None else states.index_select(0, keep) + mixed
        normal, between = layers.norm(states, layer.post_attention_norm)
        up_out, up = layers.linear(normal, layer.up)
        act_out, activated = layers.activate(up_out, w.activation, w.gated)
        down_out, down = layers.linear(act_out, layer.down)
        saved.tape.append((before, qkv_saved, turned, attended, len(k), projected, between, up, activated, down))
        return states.add_(down_out)

    def _qkv(self, normal: Tensor, layer: Layer, keep: Tensor | None) -> tuple[tuple[Tensor, Tensor], Any]:
        """Queries and keys-with-values; in the last layer queries of the kept tokens only."""
        size = self._width
        if keep is None or not layer.qkv.splits(size):
            qkv, needed = layers.linear(normal, layer.qkv)
            q, kv = qkv[:, :size], qkv[:, size:]
            return (q if keep is None else q.index_select(0, keep), kv), needed
        ask, tell = layer.qkv.split(size)
        q, q_saved = layers.linear(normal.index_select(0, keep), ask)
        kv, kv_saved = layers.linear(normal, tell)
        return (q, kv), (q_saved, kv_saved)

    def _rotated(
        self, qkv: tuple[Tensor, Tensor], layer: Layer, rotation: tuple[Tensor, Tensor] | None, keep: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor, Any]:
        w = self.weights
        q = qkv[0].reshape(-1, w.heads, w.depth)
        k, v = torch.split(qkv[1].reshape(-1, 2 * w.key_heads, w.depth), w.key_heads, dim=1)
        kind, needed = q.dtype, []
        for norm in (layer.q_norm, layer.k_norm):
            if norm is not None:
                normal, one = layers.norm((k if norm is layer.k_norm else q).to(self.wide), norm)
                q, k = (q, normal) if norm is layer.k_norm else (normal, k)
                needed.append(one)
        if rotation is not None:
            cos, sin = rotation
            mine = (cos, sin) if keep is None else (cos.index_select(0, keep), sin.index_select(0, keep))
            q, k = layers.rotate(q, *mine).to(kind), layers.rotate(k, cos, sin).to(kind)
        return q, k, v, needed

    def backward(self, grad: Tensor, sheet: PackedTrainBatch, saved: SavedForBackward) -> None:
        """Add the gradients of all trained weights; `grad` `[M, hidden]` is that of what `forward` gave."""
        w = self.weights
        low = w.embed.grad is not None or (w.positions is not None and w.positions.grad is not None)
        for n in range(len(self.how) - 1, saved.first - 1, -1):
            grad = self._backward(n, grad, sheet, saved, onward=low or n > saved.first)
        if w.embed.grad is not None:
            w.embed.grad.index_add_(0, sheet.ids, grad.to(w.embed.grad.dtype), alpha=w.scale)
        if w.positions is not None and w.positions.grad is not None:
            w.positions.grad.index_add_(0, sheet.positions, grad.to(w.positions.grad.dtype))

    def _backward(
        self, n: int, grad: Tensor, sheet: PackedTrainBatch, saved: SavedForBackward, *, onward: bool
    ) -> Tensor:
        w, layer = self.weights, self.weights.layers[n]
        last = n == len(self.how) - 1
        before, qkv_saved, turned, attended, tokens, projected, between, up, activated, down = saved.tape.pop()
        narrow = layers.linear_back(grad.to(w.dtype), down, layer.down)
        narrow = layers.linear_back(layers.activate_back(_required(narrow), activated, w.activation), up, layer.up)
        grad = grad.clone() if last else grad
        layers.norm_back(_required(narrow), between, layer.post_attention_norm, grad)
        mixed = _required(layers.linear_back(grad.to(w.dtype), projected, layer.out))
        dk, dv = (mixed.new_zeros(tokens, w.key_heads, w.depth) for _ in range(2))
        parts, start = [], 0
        for attention, needed in zip(self._attention(sheet, saved, n, last), attended, strict=True):
            stop = start + (sheet.prefix if start == 0 and len(attended) > 1 else len(mixed) - start)
            parts.append(attention.backward(mixed[start:stop], needed, dk, dv))
            start = stop
        dq = parts[0] if len(parts) == 1 else torch.cat(parts)
        keep = sheet.keep if last else None
        dq, dk = self._rotate_back(dq, dk, layer, saved.rotation, turned, keep)
        normal = self._qkv_back(dq, dk, dv, layer, qkv_saved, keep, onward)
        if last:
            grad = grad.new_zeros(tokens, grad.shape[1]).index_copy_(0, sheet.keep, grad)
        if normal is not None:
            layers.norm_back(normal, before, layer.input_norm, grad)
        return grad

    def _rotate_back(
        self, dq: Tensor, dk: Tensor, layer: Layer, rotation: Any, turned: Any, keep: Tensor | None
    ) -> Any:
        kind = dq.dtype
        if rotation is not None:
            cos, sin = rotation
            mine = (cos, sin) if keep is None else (cos.index_select(0, keep), sin.index_select(0, keep))
            dq, dk = layers.rotate(dq, mine[0], -mine[1]), layers.rotate(dk, cos, -sin)
        done: list[Tensor] = []
        for norm, states in ((layer.q_norm, dq), (layer.k_norm, dk)):
            if norm is not None:
                into = torch.zeros_like(states, dtype=self.wide)
                layers.norm_back(states.to(kind), turned[len(done)], norm, into)
                states = into
            done.append(states.to(kind))
        return done

    def _qkv_back(
        self, dq: Tensor, dk: Tensor, dv: Tensor, layer: Layer, qkv_saved: Any, keep: Tensor | None, onward: bool
    ) -> Tensor | None:
        """The gradient of the normalised states in front of queries, keys and values."""
        dq, dkv = dq.flatten(1), torch.cat([dk, dv], dim=1).flatten(1)
        onward = onward or layer.input_norm.weight.grad is not None
        if keep is None:
            return layers.linear_back(torch.cat([dq, dkv], dim=1), qkv_saved, layer.qkv, onward=onward)
        if not layer.qkv.splits(dq.shape[1]):
            wide = dq.new_zeros(len(dkv), dq.shape[1]).index_copy_(0, keep, dq)
            return layers.linear_back(torch.cat([wide, dkv], dim=1), qkv_saved, layer.qkv, onward=onward)
        ask, tell = layer.qkv.split(dq.shape[1])
        of_q = layers.linear_back(dq, qkv_saved[0], ask, onward=onward)
        of_kv = layers.linear_back(dkv, qkv_saved[1], tell, onward=onward)
        return None if of_q is None or of_kv is None else of_kv.index_add_(0, keep, of_q)


def _required(grad: Tensor | None) -> Tensor:
    assert grad is not None
    return grad
