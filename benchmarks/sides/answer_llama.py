"""llama.cpp: the shared prompt read once, its cache shared by rows that are decoded together; each call is a turn."""

import ctypes
import json
import sys
import time
from pathlib import Path

from turns import Turns, memory

turns = Turns()
started = time.perf_counter()
job = json.loads(Path(sys.argv[1]).read_text())
setting = job["setting"]

import gguf_file  # noqa: E402
import numpy as np  # noqa: E402
from llama_cpp import llama_cpp as lib  # noqa: E402

place = Path(sys.argv[1]).with_suffix(f".{setting['weights']}.gguf")
if not place.exists():
    gguf_file.write(Path(job["model"]), place, setting["weights"])
quiet = lib.llama_log_callback(lambda *_: None)
lib.llama_log_set(quiet, ctypes.c_void_p(0))
lib.llama_backend_init()
model = lib.llama_model_load_from_file(str(place).encode(), lib.llama_model_default_params())
words = lib.llama_vocab_n_tokens(lib.llama_model_get_vocab(model))
rows, new, together = job["prompts"], job["new"], setting["batch"]
shared = next(n for n, tokens in enumerate(zip(*rows, strict=False)) if len(set(tokens)) > 1)
longest = max(map(len, rows)) - shared + new
options = lib.llama_context_default_params()
options.n_ctx = -(-(shared + together * longest) // 256) * 256
options.n_batch = max(2048, together * longest)
options.n_ubatch = setting["pass"]
options.n_seq_max = together + 1
options.kv_unified = True
options.n_threads = options.n_threads_batch = job["threads"]
context = lib.llama_init_from_model(model, options)
cache = lib.llama_get_memory(context)
batch = lib.llama_batch_init(options.n_batch, 0, 1)


def run(tokens):
    """Run (token, position, sequence, whether its logits are wanted); returns the likeliest next token where wanted."""
    batch.n_tokens = len(tokens)
    for n, (token, position, sequence, wanted) in enumerate(tokens):
        batch.token[n], batch.pos[n], batch.n_seq_id[n] = token, position, 1
        batch.seq_id[n][0], batch.logits[n] = sequence, wanted
    assert lib.llama_decode(context, batch) == 0
    asked = [n for n, token in enumerate(tokens) if token[3]]
    return [int(np.ctypeslib.as_array(lib.llama_get_logits_ith(context, n), (words,)).argmax()) for n in asked]


def answer(some):
    """Write the next tokens of some rows after the shared prompt."""
    tokens = []
    for n, row in enumerate(some, 1):
        lib.llama_memory_seq_cp(cache, 0, n, 0, shared)
        tokens += [(t, p, n, p == len(row) - 1) for p, t in enumerate(row) if p >= shared]
    written = [[token] for token in run(tokens)]
    for step in range(new - 1):
        at = [(out[-1], len(row) + step, n, True) for n, (row, out) in enumerate(zip(some, written, strict=True), 1)]
        for out, token in zip(written, run(at), strict=True):
            out.append(token)
    for n in range(1, len(some) + 1):
        lib.llama_memory_seq_rm(cache, n, -1, -1)
    return written


turns.tell(load=time.perf_counter() - started)
while True:
    turns.wait()
    lib.llama_memory_clear(cache, True)
    ordered = sorted(rows, key=len)[: setting.get("rows")]
    run([(t, p, 0, p == shared - 1) for p, t in enumerate(rows[0][:shared])])
    done = [out for n in range(0, len(ordered), together) for out in answer(ordered[n : n + together])]
    turns.tell(seconds=turns.taken(), memory=memory(), cpu=turns.cpu(), rows=len(done), tokens=done[:8])
