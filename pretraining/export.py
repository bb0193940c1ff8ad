"""Turn a checkpoint into the packaged model: Hugging Face Llama format, weights stored in bfloat16, loaded in float32.

python pretraining/export.py --work pretraining/work --out src/whichway/embedded/model
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import torch
from transformers import AutoTokenizer, GenerationConfig

from train import Recipe, build


def main() -> None:
    """Read the newest checkpoint, write the folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    tokenizer = AutoTokenizer.from_pretrained(args.work / "tokenizer")
    model = build(Recipe(), tokenizer)
    state = torch.load(args.work / "checkpoint.pt", weights_only=True)
    model.load_state_dict(state["model"])
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
    sys.stdout.write(f"step {state['step']}: {args.out}\n")


if __name__ == "__main__":
    main()
