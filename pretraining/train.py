"""Pretrain the embedded model, resumably: chat, rows of our own and plain text, the latter until the rate decays.

    python pretraining/train.py --corpus CORPUS --evals EVALS --work pretraining/work [--start MODEL]

Run it again after an interruption and it goes on from the newest checkpoint. With `--start` the first weights are a
finished model's of the same shape, so that what an earlier run learned is not learned again. The stages follow each
other (`wide`, `near`, `subjects`), each with a work folder of its own, in which `tokenizer/` lies, and with `--start`
the folder that `export.py` wrote of the one before.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("GOMP_SPINCOUNT", "10000")  # before torch: threads that spin for long starve each other

import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

import attention
import episodes
import subjects
from embed import cooccurrence, embeddings, renewed, vectors
from shards import Overlap, Packed, buckets, encode_chat, encode_text, read_rows, row_text, upto
from whichway.engine import heap, rates

# Share of a task's rows that is used. The model is to follow a list of labels, to learn from examples and to keep to a
# format; what it cannot learn at this size (sums, SQL) is left out, what teaches plain language only is thinned out.
SHARES = {
    "math": 0.0,
    "sql": 0.0,
    "dialogue": 0.15,
    "qa": 0.25,
    "support": 0.3,
    "support_chat": 0.5,
    "textop": 0.4,
    "rewrite": 0.4,
    "generate": 0.5,
}

HEALTH = ("medquad", "openstax_anatomy_physiology", "openstax_microbiology")
NOVELS = ("classic_books", "eltec_eng", "nltk_open")  # no subjects under headings
# Of the subjects that are asked; what is left goes to all other sources but the novels.
SUBJECTS = {"medquad": 0.35, "openstax_anatomy_physiology": 0.12, "openstax_microbiology": 0.08}

KEPT = 2**31 - 1  # bytes of freed memory that the process holds on to: what a step takes is not asked for anew


@dataclass(frozen=True)
class Recipe:
    """All that decides the weights. Sizes in tokens."""

    hidden: int = 256
    layers: int = 6
    heads: int = 4
    intermediate: int = 640
    context: int = 2048
    lengths: tuple[int, ...] = (128, 256, 512, 1024, 2048)  # of the packed sequences
    batch: int = 8192  # tokens per step
    warmup_steps: int = 60
    decay_start: int = 1900  # step at which the rate begins to fall, and plain text is left out
    steps: int = 2400
    text_size: int = 256  # pieces of plain text
    text_tokens: float = 8e6
    text_share: float = 0.1  # of the steps, while the rate is stable
    own_share: float = 0.35  # of the steps: rows of our own (`episodes.py`)
    learning: int = 70_000  # tasks to be learned from their earlier turns
    nearest: int = 0  # tasks whose earlier turns are the rows most like the question
    formats: int = 50_000  # questions with a format
    subjects: int = 0  # passages whose subject is asked (`subjects.py`)
    chat_tokens: float = math.inf
    text_sources: tuple[str, ...] = ()  # of plain text; (): all
    counted: float = 70e6  # tokens of plain text that the first embeddings are counted on, beside all chat
    window: int = 6
    shift: float = 0.5
    # 0: first embeddings are the counted ones; else a finished model's, moved towards vectors so wide
    renewed: int = 0
    rotary: float = 500_000.0
    head_share: float = 0.17  # share of all positions at which head and loss are computed
    prompt_weight: float = 0.25  # of a token that is no answer, beside 1 for an answer's
    answer_tokens: float = 6.0  # a longer answer weighs no more than one of so many tokens
    muon_rate: float = 3e-3
    embed_rate: float = 8e-4
    norm_rate: float = 2e-3
    kept: float = 0.0  # share of the weights it started from in what is exported
    seed: int = 17

    def decaying(self, step: int) -> bool:
        """Whether the rate falls; then plain text is left out."""
        return step >= self.decay_start

    def rate(self, step: int) -> float:
        """Factor on the peak rates: warm-up, stable, linear decay."""
        if step < self.warmup_steps:
            return (step + 1) / self.warmup_steps
        return min(1.0, (self.steps - step) / (self.steps - self.decay_start))


STAGES = {
    "wide": Recipe(),
    "near": Recipe(
        warmup_steps=40,
        decay_start=450,
        steps=900,
        text_share=0.05,
        own_share=0.55,
        learning=6_000,
        nearest=22_000,
        formats=8_000,
        muon_rate=2e-3,
        embed_rate=4e-4,
        norm_rate=1e-3,
        seed=18,
    ),
    "subjects": Recipe(
        warmup_steps=30,
        decay_start=480,
        steps=840,
        text_share=0.2,
        own_share=0.65,
        learning=1_500,
        nearest=4_000,
        formats=3_000,
        subjects=20_000,
        chat_tokens=3e6,
        text_sources=HEALTH,
        text_tokens=70e6,
        window=8,
        renewed=200,
        head_share=0.3,
        muon_rate=2e-3,
        embed_rate=6e-4,
        norm_rate=1e-3,
        kept=0.4,
        seed=19,
    ),
}

Pool = dict[int, Packed]  # by length of the sequences


def prepare(
    corpus: Path, evals: Path, work: Path, recipe: Recipe, tokenizer: Any
) -> tuple[tuple[Pool, Pool, Pool], torch.Tensor, torch.Tensor]:
    """Encode and pack once, count embeddings; later starts read them back.

    Returns (text, chat, own), embeddings (V, counted), how often each token was counted (V,).
    """
    path, own = work / "pools.npz", work / "own.npz"
    if not path.exists():
        _prepare(path, corpus, evals, recipe, tokenizer)
    if not own.exists():
        _save(own, {"own": _own(corpus, evals, recipe, tokenizer)}, {})
    with np.load(path) as arrays, np.load(own) as more:
        pools = _read(arrays, "text", recipe), _read(arrays, "chat", recipe), _read(more, "own", recipe)
        return pools, torch.from_numpy(arrays["embeddings"]), torch.from_numpy(arrays["seen"])


def _read(arrays: Any, name: str, recipe: Recipe) -> Pool:
    return {
        n: Packed(*(arrays[f"{name}/{n}/{part}"] for part in ("ids", "target", "document")))
        for n in recipe.lengths
        if f"{name}/{n}/ids" in arrays
    }


def _save(path: Path, pools: dict[str, Pool], arrays: dict[str, Any]) -> None:
    for name, pool in pools.items():
        for n, packed in pool.items():
            arrays |= {f"{name}/{n}/{part}": getattr(packed, part) for part in ("ids", "target", "document")}
    temporary = path.with_suffix(".tmp.npz")
    np.savez(temporary, **arrays)
    temporary.rename(path)


def _own(corpus: Path, evals: Path, recipe: Recipe, tokenizer: Any) -> Pool:
    """Our own rows, made of the corpus' labelled texts; what overlaps with the evaluation sets is left out."""
    overlap = Overlap(evals)
    sources = episodes.pools(read_rows(corpus, "chat"), overlap)
    made = [
        *episodes.learning(sources, recipe.learning, recipe.seed),
        *episodes.nearest(sources, recipe.nearest, recipe.seed),
        *episodes.formats(sources, recipe.formats, recipe.seed),
        *_subjects(corpus, overlap, recipe),
    ]
    order = np.random.default_rng(recipe.seed).permutation(len(made))
    documents = list(encode_chat(tokenizer, [made[i] for i in order], recipe.context))
    return buckets(documents, recipe.lengths, tokenizer.pad_token_id)


def _subjects(corpus: Path, overlap: Overlap, recipe: Recipe) -> Iterator[dict[str, Any]]:
    if recipe.subjects:
        rows = (row for row in read_rows(corpus, "text") if row["source"] not in NOVELS)
        found = subjects.sections(rows, overlap)
        yield from subjects.tasks(found, SUBJECTS, recipe.subjects, recipe.seed)


def _prepare(path: Path, corpus: Path, evals: Path, recipe: Recipe, tokenizer: Any) -> None:
    overlap = Overlap(evals)
    pad = tokenizer.pad_token_id
    chat = list(
        upto(encode_chat(tokenizer, _rows(corpus, "chat", recipe, overlap), recipe.context), recipe.chat_tokens)
    )
    order = np.random.default_rng(recipe.seed).permutation(len(chat))
    plain = list(upto(encode_text(tokenizer, _rows(corpus, "text", recipe, overlap), recipe.text_size), recipe.counted))
    text = list(upto(plain, recipe.text_tokens))
    counted = [doc.ids for doc in (*chat, *plain)]
    facts = {"documents": overlap.seen, "dropped_for_overlap": overlap.hit, "grams": len(overlap.grams)}
    facts |= {"chat_tokens": sum(len(d.ids) for d in chat), "counted_tokens": sum(map(len, counted))}
    (path.parent / "corpus.json").write_text(json.dumps(facts))
    arrays = _counted([doc.ids for doc in text] if recipe.renewed else counted, len(tokenizer), recipe)
    pools = {"text": buckets(text, recipe.lengths, pad), "chat": buckets([chat[i] for i in order], recipe.lengths, pad)}
    _save(path, pools, arrays)


def _counted(documents: Sequence[np.ndarray], vocab: int, recipe: Recipe) -> dict[str, np.ndarray]:
    """Embeddings counted on these documents' tokens, and how often each token occurs in them."""
    ids = np.concatenate(documents)
    seen = np.bincount(ids, minlength=vocab)
    counts = cooccurrence(ids, vocab, recipe.window, even=recipe.renewed > 0)
    if recipe.renewed:
        found = vectors(counts, recipe.renewed, recipe.seed)
    else:
        found = embeddings(counts, recipe.hidden, recipe.shift, recipe.seed)
    return {"embeddings": found.numpy(), "seen": seen}


def _rows(corpus: Path, name: str, recipe: Recipe, overlap: Overlap) -> Iterator[dict[str, Any]]:
    rng = np.random.default_rng((recipe.seed, len(name)))
    for row in read_rows(corpus, name):
        if name == "text" and recipe.text_sources and row["source"] not in recipe.text_sources:
            continue
        if rng.random() < SHARES.get(row.get("task", ""), 1.0) and not overlap(row_text(row)):
            yield row


def batches(pool: Pool, recipe: Recipe, part: int) -> list[tuple[int, np.ndarray]]:
    """All steps' worth of a pool in a drawn order: the length of the sequences, and which of them."""
    rng = np.random.default_rng((recipe.seed, part))
    found = []
    for length, packed in pool.items():
        size = recipe.batch // length
        order = rng.permutation(len(packed.ids))
        found += [(length, order[i : i + size]) for i in range(0, len(order) - size + 1, size)]
    return [found[i] for i in rng.permutation(len(found))]


class Data:
    """What each step sees, a pure function of the step: the order survives a restart."""

    def __init__(self, recipe: Recipe, pools: tuple[Pool, Pool, Pool]) -> None:
        """Draw the order of each pool: text, chat, own."""
        self.recipe, self.pools = recipe, pools
        self.order = tuple(batches(pool, recipe, part) for part, pool in enumerate(self.pools))

    def at(self, step: int) -> Packed:
        """The sequences of one step."""
        rng = np.random.default_rng((self.recipe.seed, step))
        text = 0.0 if self.recipe.decaying(step) else self.recipe.text_share
        part = int(rng.choice(3, p=[text, 1 - text - self.recipe.own_share, self.recipe.own_share]))
        length, rows = self.order[part][step % len(self.order[part])]
        packed = self.pools[part][length]
        return Packed(packed.ids[rows], packed.target[rows], packed.document[rows])


def tensors(packed: Packed, recipe: Recipe, step: int) -> tuple[torch.Tensor, ...]:
    """Model inputs of one step.

    Returns ids (B, T), additive block-diagonal causal mask (B, 1, T, T), positions (B, T), the places trained on (K,)
    in the flattened batch, their next tokens (K,) and weights (K,). K is fixed for each length so that the compiled
    graph is; answers come first, other tokens are drawn for the places that are left.
    """
    ids = torch.from_numpy(packed.ids.astype(np.int64))
    target, document = torch.from_numpy(packed.target), torch.from_numpy(packed.document.astype(np.int64))
    batch, length = ids.shape
    same = document[:, :, None] == document[:, None, :]
    seen = (same & torch.ones(length, length, dtype=torch.bool).tril())[:, None]
    mask = torch.zeros(seen.shape, dtype=torch.bfloat16).masked_fill_(~seen, -1e9)
    first = torch.zeros_like(document, dtype=torch.bool)
    first[:, 0] = True
    first[:, 1:] = document[:, 1:] != document[:, :-1]
    index = torch.arange(length).expand_as(ids)
    positions = index - torch.where(first, index, 0).cummax(dim=1).values
    usable = ((document > 0) & ~first)[:, 1:]
    rng = np.random.default_rng((recipe.seed, step, 1))
    urgency = torch.from_numpy(rng.random((batch, length - 1))) + target[:, 1:] + 2.0 * usable
    room = int(batch * length * recipe.head_share)
    chosen = urgency.flatten().topk(room).indices.sort().values
    rows, columns = chosen // (length - 1), chosen % (length - 1)
    places, labels = rows * length + columns, ids[rows, columns + 1]
    answer = (recipe.answer_tokens / run_lengths(target)).clamp(recipe.prompt_weight, 1.0)
    weights = torch.where(target, answer, recipe.prompt_weight)[rows, columns + 1] * usable[rows, columns]
    return ids, mask, positions, places, labels, weights


def run_lengths(target: torch.Tensor) -> torch.Tensor:
    """For each token of an answer how many tokens that answer has, 1 elsewhere; (B, T)."""
    change = torch.ones_like(target)
    change[:, 1:] = target[:, 1:] != target[:, :-1]
    run = change.flatten().cumsum(0) - 1  # each row begins a run
    lengths = torch.bincount(run)[run].reshape(target.shape)
    return torch.where(target, lengths, 1)


def loss_of(model: Any, ids: Any, mask: Any, positions: Any, places: Any, labels: Any, weights: Any) -> Any:
    """Weighted mean next-token loss in nats at the trained places, and over (short) answers alone."""
    hidden = model.model(input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=False).last_hidden_state
    logits = model.lm_head(hidden.flatten(0, 1)[places])
    each = torch.nn.functional.cross_entropy(logits.float(), labels, reduction="none")
    answers = (weights > 0.9).float()
    said = (each.detach() * answers).sum() / answers.sum().clamp_min(1)
    return (each * weights).sum() / weights.sum(), said


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalised by five Newton-Schulz steps (Jordan 2024), update scaled to AdamW's size (2502.16982).

    `torch.optim.Muon` works in bfloat16, which a processor without bf16 units emulates: half of a step's time there.
    """

    def __init__(
        self,
        params: Any,
        lr: float,
        momentum: float = 0.95,
        weight_decay: float = 0.05,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        self.dtype = dtype  # of the products

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        """One update of every matrix; those of one shape are orthogonalised together."""
        for group in self.param_groups:
            alike: dict[torch.Size, list[tuple[Any, torch.Tensor]]] = {}
            for p in group["params"]:
                state = self.state[p]
                if not state:
                    state["momentum"] = torch.zeros_like(p)
                state["momentum"].lerp_(p.grad, 1 - group["momentum"])
                wide = upright(p.grad.lerp(state["momentum"], group["momentum"]))
                alike.setdefault(wide.shape, []).append((p, wide))
            for found in alike.values():
                updates = orthogonal(torch.stack([wide for _, wide in found]), self.dtype)
                for (p, _), update in zip(found, updates, strict=True):
                    turned = update.T if p.shape[0] > p.shape[1] else update
                    p.mul_(1 - group["lr"] * group["weight_decay"])
                    p.add_(turned, alpha=-group["lr"] * 0.2 * max(p.shape) ** 0.5)


def upright(matrix: torch.Tensor) -> torch.Tensor:
    """The matrix, turned so that it has no more rows than columns."""
    return matrix.T if matrix.shape[0] > matrix.shape[1] else matrix


def orthogonal(gradients: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """The nearest semi-orthogonal matrices, roughly; (N, R, C) with R <= C, products in `dtype`."""
    x = (gradients / (gradients.norm(dim=(1, 2), keepdim=True) + 1e-7)).to(dtype)
    for _ in range(5):
        a = x @ x.transpose(1, 2)
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return x.to(gradients.dtype)


def build(recipe: Recipe, tokenizer: Any, first: torch.Tensor | None = None) -> LlamaForCausalLM:
    """The model at its start: each block is the identity; `first` (V, hidden) are its embeddings."""
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
            rope_parameters={"rope_type": "default", "rope_theta": recipe.rotary},
            tie_word_embeddings=True,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    with torch.no_grad():
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        if first is not None:
            # Marks of the chat occur together and so would be alike.
            marks = list(tokenizer.added_tokens_decoder)
            table = model.model.embed_tokens.weight
            table.copy_(first)
            table[marks] = torch.randn(len(marks), recipe.hidden) / recipe.hidden**0.5
    return model


def optimizers(model: torch.nn.Module, recipe: Recipe, dtype: torch.dtype) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside the blocks, AdamW for embeddings and norms."""
    trained = list(model.named_parameters())
    inner = [p for n, p in trained if p.ndim == 2 and "embed" not in n and "lm_head" not in n]
    embed = [p for n, p in trained if "embed" in n]
    norms = [p for _, p in trained if p.ndim < 2]
    groups = [{"params": embed, "lr": recipe.embed_rate}, {"params": norms, "lr": recipe.norm_rate}]
    optims = [
        Muon(inner, lr=recipe.muon_rate, dtype=dtype),
        torch.optim.AdamW(groups, betas=(0.9, 0.95), weight_decay=0.0, fused=True),
    ]
    for o in optims:
        for group in o.param_groups:
            group["peak"] = group["lr"]
    return optims


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
    parser.add_argument("--evals", type=Path, required=True, help="sets that must not overlap with what is trained on")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--stage", choices=STAGES, default="wide")
    parser.add_argument("--start", type=Path, help="a finished model of the same shape, whose weights to start from")
    parser.add_argument("--stop-after", type=int, default=0, help="stop at this step (0: at the end)")
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--no-bf16", action="store_true", help="for processors that would emulate it")
    args = parser.parse_args()
    recipe = STAGES[args.stage]
    if recipe.renewed and args.start is None:
        parser.error(f"stage {args.stage} moves a finished model's embeddings: give --start")
    tokenizer = AutoTokenizer.from_pretrained(args.work / "tokenizer")
    pools, counted, seen = prepare(args.corpus, args.evals, args.work, recipe, tokenizer)
    data = Data(recipe, pools)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    heap.settle(KEPT)
    model = build(recipe, tokenizer, None if recipe.renewed else counted)
    if args.start is not None:
        finished = AutoModelForCausalLM.from_pretrained(args.start, dtype=torch.float32)
        model.load_state_dict(finished.state_dict())
    checkpoint, log = args.work / "checkpoint.pt", args.work / "log.jsonl"
    if recipe.renewed and not checkpoint.exists():
        table = model.model.embed_tokens.weight
        with torch.no_grad():
            table.copy_(renewed(table, counted, seen))
    model.to(device)
    optims = optimizers(model, recipe, rates.dtype(torch.device(device), recipe.hidden))
    done = 0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(state["model"])
        for o, s in zip(optims, state["optimizers"], strict=True):
            o.load_state_dict(s)
        done = state["step"]
    if device == "cpu":
        attention.use(model)
    loss_at = loss_of if args.no_compile else torch.compile(loss_of, dynamic=False)
    saved = began = time.monotonic()
    end = args.stop_after or recipe.steps
    sums = np.zeros(2)
    for step in range(done, end):
        with torch.autocast(device, dtype=torch.bfloat16, enabled=not args.no_bf16):
            loss, answers = loss_at(model, *(t.to(device) for t in tensors(data.at(step), recipe, step)))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for o in optims:
            for group in o.param_groups:
                group["lr"] = group["peak"] * recipe.rate(step)
            o.step()
            o.zero_grad(set_to_none=True)
        sums += loss.item(), answers.item()
        if (step + 1) % 10 == 0:
            rate = (step + 1 - done) * recipe.batch / (time.monotonic() - began)
            facts = {"step": step + 1, "loss": round(sums[0] / 10, 4), "answers": round(sums[1] / 10, 4)}
            with log.open("a") as out:
                out.write(json.dumps({**facts, "tokens_per_second": round(rate)}) + "\n")
            sums[:] = 0
            if (step + 1) % 50 == 0 and time.monotonic() - saved > 90:
                save(checkpoint, step + 1, model, optims)
                saved = time.monotonic()
    save(checkpoint, max(done, end), model, optims)


if __name__ == "__main__":
    main()
