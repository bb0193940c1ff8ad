"""The local engine: how a model on this machine answers and learns.

Every example of a task shares the task's prompt. The engine runs that shared prefix once and lets all rows attend to
it: `pack` lays rows out and computes attention, `answer` answers, `learn` trains, `probe` fits a head on frozen states,
`render` makes token ids (the same ones for all three), `load` opens models, `attach` and `live` put adapters on.
"""

import os

# Waiting threads that spin starve each other as soon as another process is busy: answering 200 rows on two threads took
# 17 s so, and 1.8 s when they sleep. Read when torch is imported, so it is set before.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
