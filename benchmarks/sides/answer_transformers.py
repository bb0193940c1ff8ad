"""Transformers' batched `generate`: each call is a turn. Runs under the peers' interpreter."""

import json
import sys
import time
from pathlib import Path

from turns import Turns, memory

turns = Turns()
started = time.perf_counter()
job = json.loads(Path(sys.argv[1]).read_text())
setting = job["setting"]

import torch  # noqa: E402
from transformers import AutoModelForCausalLM  # noqa: E402

torch.set_num_threads(job["threads"])
kind = torch.bfloat16 if setting["weights"] == "bf16" else torch.float32
model = AutoModelForCausalLM.from_pretrained(job["model"], dtype=kind, attn_implementation=setting["attention"]).eval()
model.generation_config.eos_token_id = None
turns.tell(load=time.perf_counter() - started)
while True:
    turns.wait()
    tokens = []
    rows = sorted(job["prompts"], key=len)[: setting.get("rows")]
    for start in range(0, len(rows), setting["batch"]):
        batch = rows[start : start + setting["batch"]]
        longest = max(map(len, batch))
        ids = torch.tensor([[1] * (longest - len(row)) + row for row in batch])
        mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in batch])
        with torch.inference_mode():
            out = model.generate(
                input_ids=ids, attention_mask=mask, do_sample=False, max_new_tokens=job["new"], pad_token_id=1
            )
        tokens += out[:, longest:].tolist()
    turns.tell(seconds=turns.taken(), memory=memory(), cpu=turns.cpu(), rows=len(rows), tokens=tokens[:8])
