"""The local engine: how a model on this machine answers and learns.

Every example of a task shares the task's prompt. The engine runs that shared prefix once and lets all rows attend to
it.

- The process: `heap` says how its memory is held.
- A model: `load` opens it, `weights` holds its matrices, `rates` measures the machine, `attach` and `live` put trained
  parts on.
- A pass: `pack` lays rows out, `forward` runs them through our own `decoder` (`layers`, `attention`) or transformers.
- Answering: `render` makes token ids (the same for learning), `answer` scores labels, `decode` writes.
- Learning: `options`, `trainee`, `learn` (in a process of its own: `child`), `below` and `kept` for states that many
  trainings read, `probe` for a head on frozen states.

- Several cards: `placement` decides by their memory; to answer, a model's layers are laid over them, to train,
  processes share its weights (`shards`, `sharded_run`, `ranks`).

A GPU is taken when there is one that computes (`load.device`). Tensors are made where the model is and attention is
PyTorch's fused one there; tests hold that on a device without numbers. It has not been run on a real GPU yet, and there
are no CUDA graphs and no compiling.
"""

import os

# Waiting threads that spin starve each other as soon as another process is busy: answering 200 rows on two threads took
# 17 s so, and 1.8 s when they sleep. Threads that sleep at once take half of a small model's step to wake up. So they
# spin for some tens of microseconds, then sleep. Read when torch is imported, so it is set before.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

from whichway.engine.model import malloc

malloc.hold_freed_memory()
