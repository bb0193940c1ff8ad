"""Pretrain the embedded model, resumably: plain text and chat mixed, then chat alone while the rate decays.

    python pretraining/train.py --corpus CORPUS --work pretraining/work

Run it again after an interruption and it goes on from the newest checkpoint.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch: threads that spin starve each other

import numpy as np
import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from shards import Packed, encode_chat, encode_text, pack, read_shard

SKIP = {"math", "sql"}  # tasks that a model of this size cannot learn anything from


@dataclass(frozen=True)
class Recipe:
    """All that decides the weights. Sizes in tokens."""

    hidden: int = 192
    layers: int = 4
    heads: int = 3
    intermediate: int = 512
    context: int = 1024
    batch: int = 4
    warmup_steps: int = 80
    decays: tuple[tuple[int, int], ...] = ((365, 561), (682, 1049))  # steps; the rate falls to 0, then starts again
    pool: float = 16e6  # tokens of chat and text made ready (more than are used)
    muon_rate: float = 4e-3
    adam_rate: float = 4e-3
    prompt_share: float = 0.3  # share of the tokens that are no assistant's that are trained on, while they count
    head_share: float = 0.5  # share of all positions at which head and loss are computed
    text_share: float = 0.34
    seed: int = 17

    @property
    def steps(self) -> int:
        """Optimizer steps of the whole run."""
        return self.decays[-1][1]

    def decaying(self, step: int) -> bool:
        """Whether the rate falls; then plain text is left out."""
        return any(start <= step < end for start, end in self.decays)

    def rate(self, step: int) -> float:
        """Factor on the peak rates: warm-up, stable, decay; the next cycle goes on from there (arXiv 2410.05192)."""
        if step < self.warmup_steps:
            return (step + 1) / self.warmup_steps
        falling = [(end - step) / (end - start) for start, end in self.decays if start <= step < end]
        return falling[0] if falling else 1.0


def prepare(corpus: Path, work: Path, recipe: Recipe, tokenizer: Any) -> tuple[Packed, Packed]:
    """Encode and pack once; later starts read the arrays back."""
    pools = []
    for name in ("text", "chat"):
        mark = hashlib.sha256((work / "tokenizer" / "tokenizer.json").read_bytes()).hexdigest()[:8]
        path = work / f"{name}-{recipe.context}-{recipe.pool:.0f}-{mark}.npz"
        if not path.exists():
            need = recipe.pool * 1.5 if name == "chat" else recipe.pool * recipe.text_share * 1.2
            documents = _until(need, _documents(name, corpus, recipe, tokenizer))
            packed = pack(documents, recipe.context, tokenizer.pad_token_id)
            temporary = path.with_suffix(".tmp.npz")
            np.savez(temporary, ids=packed.ids, target=packed.target, document=packed.document)
            temporary.rename(path)
        with np.load(path) as arrays:
            pools.append(Packed(arrays["ids"], arrays["target"], arrays["document"]))
    return pools[0], pools[1]


def _documents(name: str, corpus: Path, recipe: Recipe, tokenizer: Any) -> Iterator[Any]:
    rows = (row for path in sorted(corpus.glob(f"{name}-*.jsonl.zst")) for row in read_shard(path))
    if name == "text":
        return encode_text(tokenizer, rows, recipe.context)
    return encode_chat(tokenizer, rows, recipe.context, SKIP)


def _until(tokens: float, documents: Iterator[Any]) -> Iterator[Any]:
    for doc in documents:
        yield doc
        tokens -= len(doc.ids)
        if tokens <= 0:
            return


def batch_at(step: int, recipe: Recipe, text: Packed, chat: Packed) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of one step, a pure function of the step: the data order survives a restart."""
    rng = np.random.default_rng((recipe.seed, step))
    share = 0.0 if recipe.decaying(step) else recipe.text_share
    rows = []
    for slot in range(recipe.batch):
        pool = text if rng.random() < share else chat
        order = np.random.default_rng((recipe.seed, id_of(pool, text))).permutation(len(pool.ids))
        rows.append((pool, order[(step * recipe.batch + slot) % len(order)]))
    take = [(pool.ids[i], pool.target[i], pool.document[i]) for pool, i in rows]
    return tuple(np.stack(column) for column in zip(*take, strict=True))  # type: ignore[return-value]


def id_of(pool: Packed, text: Packed) -> int:
    """0 for the text pool, 1 for the chat pool."""
    return 0 if pool is text else 1


def tensors(
    arrays: tuple[np.ndarray, np.ndarray, np.ndarray], recipe: Recipe, step: int
) -> tuple[torch.Tensor, ...]:
    """Model inputs of one step.

    Returns ids (B, T), block-diagonal causal mask (B, 1, T, T), positions (B, T), and the places trained on (K,) in
    the flattened batch with their next tokens (K,). K is fixed so that the compiled graph is: missing ones are -100.
    Prompt tokens are drawn rather than weighted down: the head costs as much as two layers, so it runs where it counts.
    """
    ids = torch.from_numpy(arrays[0].astype(np.int64))
    target, document = torch.from_numpy(arrays[1]), torch.from_numpy(arrays[2].astype(np.int64))
    batch, length = ids.shape
    same = document[:, :, None] == document[:, None, :]
    mask = (same & torch.ones(length, length, dtype=torch.bool).tril())[:, None]
    first = torch.zeros_like(document, dtype=torch.bool)
    first[:, 0] = True
    first[:, 1:] = document[:, 1:] != document[:, :-1]
    index = torch.arange(length).expand_as(ids)
    positions = index - torch.where(first, index, 0).cummax(dim=1).values
    rng = np.random.default_rng((recipe.seed, step, 1))
    share = recipe.prompt_share / 3 if recipe.decaying(step) else recipe.prompt_share
    drawn = torch.from_numpy(rng.random((batch, length)) < share)
    wanted = ((target | drawn) & (document > 0) & ~first)[:, 1:]
    places = (torch.arange(batch)[:, None] * length + torch.arange(length - 1))[wanted]
    room = int(batch * length * recipe.head_share)
    places = places[torch.from_numpy(rng.permutation(len(places))[:room])]
    labels = torch.full((room,), -100)
    labels[: len(places)] = ids.flatten()[places + 1]
    padded = torch.zeros(room, dtype=torch.long)
    padded[: len(places)] = places
    return ids, mask, positions, padded, labels


def loss_of(model: Any, ids: Any, mask: Any, positions: Any, places: Any, labels: Any) -> Any:
    """Mean next-token loss in nats at the trained places."""
    hidden = model.model(input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=False).last_hidden_state
    logits = model.lm_head(hidden.flatten(0, 1)[places])
    return torch.nn.functional.cross_entropy(logits, labels, ignore_index=-100)


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalised by five Newton-Schulz steps (Jordan 2024), update scaled to AdamW's size (2502.16982).

    `torch.optim.Muon` works in bfloat16, which a processor without bf16 units emulates: half of a step's time there.
    """

    def __init__(self, params: Any, lr: float, momentum: float = 0.95, weight_decay: float = 0.05) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        """One update of every matrix."""
        for group in self.param_groups:
            for p in group["params"]:
                state = self.state[p]
                if not state:
                    state["momentum"] = torch.zeros_like(p)
                state["momentum"].lerp_(p.grad, 1 - group["momentum"])
                update = orthogonal(p.grad.lerp(state["momentum"], group["momentum"]))
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.add_(update, alpha=-group["lr"] * 0.2 * max(p.shape) ** 0.5)


def orthogonal(gradient: torch.Tensor) -> torch.Tensor:
    """The nearest semi-orthogonal matrix, roughly."""
    x = gradient.T if gradient.shape[0] > gradient.shape[1] else gradient
    x = x / (x.norm() + 1e-7)
    for _ in range(5):
        a = x @ x.T
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return x.T if gradient.shape[0] > gradient.shape[1] else x


def build(recipe: Recipe, tokenizer: Any) -> LlamaForCausalLM:
    """The model at its random start."""
    torch.manual_seed(recipe.seed)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=recipe.hidden,
            num_hidden_layers=recipe.layers,
            num_attention_heads=recipe.heads,
            num_key_value_heads=recipe.heads,
            intermediate_size=recipe.intermediate,
            max_position_embeddings=recipe.context,
            tie_word_embeddings=True,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    for name, p in model.named_parameters():  # residual outputs start at zero: each block is the identity at first
        if name.endswith(("o_proj.weight", "down_proj.weight")):
            torch.nn.init.zeros_(p)
    return model


def optimizers(model: torch.nn.Module, recipe: Recipe) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside the blocks, AdamW for embeddings and norms."""
    inner = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n and "lm_head" not in n]
    outer = [p for n, p in model.named_parameters() if not (p.ndim == 2 and "embed" not in n and "lm_head" not in n)]
    return [
        Muon(inner, lr=recipe.muon_rate),
        torch.optim.AdamW(outer, lr=recipe.adam_rate, betas=(0.9, 0.95), weight_decay=0.0),
    ]


def save(path: Path, step: int, model: torch.nn.Module, optimizers_: list[torch.optim.Optimizer]) -> None:
    """Write then rename: a kill leaves the older checkpoint whole."""
    temporary = path.with_suffix(".tmp")
    optimizer_states = [o.state_dict() for o in optimizers_]
    torch.save({"step": step, "model": model.state_dict(), "optimizers": optimizer_states}, temporary)
    os.replace(temporary, path)


def main() -> None:
    """Read the options, go on from the newest checkpoint, train, save the weights in Hugging Face format."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--stop-after", type=int, default=0, help="stop at this step (0: at the end)")
    parser.add_argument("--no-compile", action="store_true")
    args = parser.parse_args()
    recipe = Recipe()
    tokenizer = AutoTokenizer.from_pretrained(args.work / "tokenizer")
    text, chat = prepare(args.corpus, args.work, recipe, tokenizer)
    model = build(recipe, tokenizer)
    optims = optimizers(model, recipe)
    checkpoint, log = args.work / "checkpoint.pt", args.work / "log.jsonl"
    start = 0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(state["model"])
        for o, s in zip(optims, state["optimizers"], strict=True):
            o.load_state_dict(s)
        start = state["step"]
    loss_at = loss_of if args.no_compile else torch.compile(loss_of, dynamic=False)
    peaks = (recipe.muon_rate, recipe.adam_rate)
    saved = began = time.monotonic()
    for step in range(start, args.stop_after or recipe.steps):
        loss = loss_at(model, *tensors(batch_at(step, recipe, text, chat), recipe, step))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for o, peak in zip(optims, peaks, strict=True):
            for group in o.param_groups:
                group["lr"] = peak * recipe.rate(step)
            o.step()
            o.zero_grad(set_to_none=True)
        if step % 10 == 0:
            seconds = time.monotonic() - began
            rate = (step - start + 1) * recipe.batch * recipe.context / seconds
            with log.open("a") as out:
                facts = {"step": step, "of": recipe.steps, "loss": round(loss.item(), 4)}
                out.write(json.dumps({**facts, "tokens_per_second": round(rate)}) + "\n")
        if time.monotonic() - saved > 120:
            save(checkpoint, step + 1, model, optims)
            saved = time.monotonic()
    save(checkpoint, max(start, args.stop_after or recipe.steps), model, optims)
    model.save_pretrained(args.work / "model")
    tokenizer.save_pretrained(args.work / "model")


if __name__ == "__main__":
    main()
