"""Our side of `answer.py`: each call is a turn. A new session each time, so every call pays for the shared prompt."""

import json
import sys
import time
from pathlib import Path

from turns import Turns, memory

turns = Turns()
started = time.perf_counter()
job = json.loads(Path(sys.argv[1]).read_text())

import whichway.engine  # noqa: E402, F401, I001  (before torch: it says how threads wait)
import torch  # noqa: E402

from whichway.engine.model import load  # noqa: E402
from whichway.engine.model import throughput  # noqa: E402
from whichway.engine.infer.session import InferenceSession  # noqa: E402
from whichway.nouns import Decoding, Message, Request  # noqa: E402

torch.set_num_threads(job["threads"])
model = load.load(Path(job["model"]))
renderer = model.renderer
renderer.prompt_ids = lambda rows: [job["prompts"][int(row[0].content)] for row in rows]
ids = {label: tuple(tokens) for label, tokens in job["labels"]}
renderer.answer_ids = lambda label: ids.get(label, (1,))
if job["what"] == "generate":  # as many tokens as the peers write
    renderer.ends, renderer.broken = frozenset(), lambda _: False
kind = next(model.module.parameters()).dtype
turns.tell(load=time.perf_counter() - started, format=str(kind)[6:], rate=throughput.product_rate(kind, 1000, 1000, 30))
while True:
    turns.wait()
    session = InferenceSession(model, model.module)
    decoding = Decoding(job["what"], job["new"])
    asked = [Request((Message("user", str(n)),), decoding, tuple(ids)) for n in range(len(job["prompts"]))]
    replies = (session.generate if job["what"] == "generate" else session.choose)(asked)
    seconds = turns.taken()
    turns.tell(seconds=seconds, memory=memory(), cpu=turns.cpu(), rows=len(replies), text=[r.text for r in replies])
