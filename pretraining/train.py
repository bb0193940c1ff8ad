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
import os
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("GOMP_SPINCOUNT", "10000")  # before torch: threads that spin for long starve each other

import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

import attention
from data import Data, prepare, tensors
from embed import renewed
from recipes import STAGES, Recipe
from whichway.engine.model import malloc, throughput

KEPT = 2**31 - 1  # bytes of freed memory that the process holds on to: what a step takes is not asked for anew


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


def options() -> argparse.Namespace:
    """The options of the command line, checked."""
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
    if STAGES[args.stage].renewed and args.start is None:
        parser.error(f"stage {args.stage} moves a finished model's embeddings: give --start")
    return args


def main() -> None:
    """Read the options, go on from the newest checkpoint, train, save the weights in Hugging Face format."""
    args = options()
    recipe = STAGES[args.stage]
    tokenizer = AutoTokenizer.from_pretrained(args.work / "tokenizer")
    pools, counted, seen = prepare(args.corpus, args.evals, args.work, recipe, tokenizer)
    data = Data(recipe, pools)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    malloc.hold_freed_memory(KEPT)
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
    optims = optimizers(model, recipe, throughput.dtype(torch.device(device), recipe.hidden))
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
