"""lm-evaluation-harness: log-likelihood of every label after every row; each call is a turn."""

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
from lm_eval.models.huggingface import HFLM  # noqa: E402
from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: E402

torch.set_num_threads(job["threads"])
kind = torch.bfloat16 if setting["weights"] == "bf16" else torch.float32
model = AutoModelForCausalLM.from_pretrained(job["model"], dtype=kind, attn_implementation=setting["attention"]).eval()
tokenizer = AutoTokenizer.from_pretrained(job["model"])
harness = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=setting["batch"], device="cpu", max_length=4096)
turns.tell(load=time.perf_counter() - started)
while True:
    turns.wait()
    rows = job["prompts"][: setting.get("rows")]
    asked = [(("", ""), row, tokens) for row in rows for _, tokens in job["labels"]]
    scores = [score for score, _ in harness._loglikelihood_tokens(asked, disable_tqdm=True)]
    size = len(job["labels"])
    best = [max(range(size), key=lambda n: scores[row * size + n]) for row in range(len(rows))]
    text = [job["labels"][n][0] for n in best]
    turns.tell(seconds=turns.taken(), memory=memory(), cpu=turns.cpu(), rows=len(rows), text=text)
