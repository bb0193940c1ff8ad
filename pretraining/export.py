"""Turn a checkpoint into the packaged model and its card: Llama format, bfloat16 on disk, float32 in memory.

python pretraining/export.py --work pretraining/work --start MODEL --out src/whichway/embedded/model

MODEL is what the run started from. A run on one kind of text forgets some of what was there; the mean of both keeps
most of either (Wortsman et al. 2022, arXiv 2109.01903), in the shares that the stage's recipe says.

Run `evaluate.py --out pretraining/work/results` on what this writes, then this again: the card holds the results. To
renew the results of a card whose checkpoint is gone:

python pretraining/export.py --results RESULTS --out src/whichway/embedded/model
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from recipes import STAGES, Recipe
from train import build

CARD = Path(__file__).with_name("card.md")
LAST = "subjects"  # the stage whose weights have a card
FIRST, FIRST_CHAT = 1060, 0.88  # steps of the run that `wide` starts from, and the share of them that were chat
# When `near` read the whole corpus: tokens of chat, documents compared with the evaluation sets, those dropped for it.
CHAT, COMPARED, DROPPED = 37e6, 260_549, 0


def main() -> None:
    """Read the newest checkpoint, write the folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--stage", choices=STAGES, default=LAST, help="of the checkpoint; the last one has a card")
    parser.add_argument("--start", type=Path, help="what the run started from, for stages that keep a share of it")
    parser.add_argument("--results", type=Path, help="of evaluate.py, for the card that is there")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    if (args.work is None) == (args.results is None):
        parser.error("one of --work and --results is needed")
    if args.results is not None:
        renew(args.out / "README.md", (args.results / "table.md").read_text())
        return
    tokenizer = AutoTokenizer.from_pretrained(args.work / "tokenizer")
    recipe = STAGES[args.stage]
    model = build(recipe, tokenizer)
    state = torch.load(args.work / "checkpoint.pt", weights_only=True)
    model.load_state_dict(state["model"])
    if recipe.kept:
        if args.start is None:
            parser.error(f"stage {args.stage} keeps a share of its start: give --start")
        keep(model, args.start, recipe.kept)
    model.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        do_sample=False,
        max_new_tokens=128,
    )
    model.to(torch.bfloat16).save_pretrained(args.out)
    tokenizer.save_pretrained(args.out)
    config = json.loads((args.out / "config.json").read_text())
    config["dtype"] = "float32"  # half the size on disk; the arithmetic stays in float32
    (args.out / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    if args.stage == LAST:
        parameters = sum(p.numel() for p in model.parameters())
        (args.out / "README.md").write_text(card(recipe, args.work, state["step"], parameters, len(tokenizer)))
    sys.stdout.write(f"step {state['step']}: {args.out}\n")


def keep(model: torch.nn.Module, start: Path, share: float) -> None:
    """Mix the weights that the run started from into the model's."""
    before = AutoModelForCausalLM.from_pretrained(start, dtype=torch.float32).state_dict()
    with torch.no_grad():
        for name, weight in model.named_parameters():  # each once, though embeddings are the head too
            weight.lerp_(before[name], share)


def renew(card: Path, results: str) -> None:
    """Put new results into a card, between the command that gives them and the attribution."""
    head, command, rest = card.read_text().partition("`python pretraining/evaluate.py")
    line, _, rest = rest.partition("\n")
    attribution = rest[rest.index("## Attribution") :]
    card.write_text(f"{head}{command}{line}\n\n{results.strip()}\n\n{attribution}")


def card(recipe: Recipe, work: Path, step: int, parameters: int, vocab: int) -> str:
    """The model card; what the last run does not tell of the ones before is said at the top of this file."""
    corpus: dict[str, Any] = json.loads((work / "corpus.json").read_text())
    log = [json.loads(line) for line in (work / "log.jsonl").read_text().splitlines()][-5:]
    results = work / "results" / "table.md"
    wide, near = STAGES["wide"], STAGES["near"]
    later = (wide, near, recipe)
    text = sum(r.text_share * r.decay_start for r in later)
    own = sum(r.own_share * r.steps for r in later)
    chat = recipe.batch * (FIRST * FIRST_CHAT + wide.steps + near.steps + step - text - own)
    return CARD.read_text().format(
        parameters=parameters / 1e6,
        layers=recipe.layers,
        hidden=recipe.hidden,
        heads=recipe.heads,
        vocab=vocab,
        context=recipe.context,
        megabytes=2 * parameters / 1e6,
        batch=recipe.batch,
        seen=recipe.batch * (FIRST + wide.steps + near.steps + step) / 1e6,
        first=FIRST,
        wide=wide,
        near=near,
        last=recipe,
        wide_text=100 * wide.text_share,
        wide_own=100 * wide.own_share,
        near_own=100 * near.own_share,
        last_kept=100 * recipe.kept,
        last_own=100 * recipe.own_share,
        last_text=100 * recipe.text_share,
        losses=", ".join(f"{line['loss']:.2f}" for line in log),
        chat_tokens=CHAT / 1e6,
        share=100 * chat / CHAT,
        documents=COMPARED,
        dropped=DROPPED + corpus["dropped_for_overlap"] or "none",
        results=results.read_text().strip() if results.exists() else "Not measured yet.",
        attribution=Path(__file__).with_name("attribution.md").read_text(),
    )


if __name__ == "__main__":
    main()
