"""Transformers' text-generation pipeline: each call is a turn. Runs under the peers' interpreter."""

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
from tokenizers import Tokenizer, models, pre_tokenizers  # noqa: E402
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast, pipeline  # noqa: E402

torch.set_num_threads(job["threads"])
kind = torch.bfloat16 if setting["weights"] == "bf16" else torch.float32
model = AutoModelForCausalLM.from_pretrained(job["model"], dtype=kind, attn_implementation=setting["attention"]).eval()
model.generation_config.eos_token_id = None
# A pipeline takes text: here each token is spelt as its number, so that it reads the ids that the others read.
core = Tokenizer(models.WordLevel({str(n): n for n in range(model.config.vocab_size)}, unk_token="0"))
core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, pad_token="1", padding_side="left")
writer = pipeline("text-generation", model=model, tokenizer=tokenizer, batch_size=setting["batch"])
turns.tell(load=time.perf_counter() - started)
while True:
    turns.wait()
    rows = sorted(job["prompts"], key=len)[: setting.get("rows")]
    texts = [" ".join(map(str, row)) for row in rows]
    replies = writer(texts, max_new_tokens=job["new"], do_sample=False, return_full_text=False)
    assert len(replies) == len(rows)
    turns.tell(seconds=turns.taken(), memory=memory(), cpu=turns.cpu(), rows=len(rows))
