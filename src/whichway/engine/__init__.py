"""The local engine: how a model on this machine answers and learns.

Every example of a task shares the task's prompt. The engine runs that shared prefix once and lets all rows attend to
it: `pack` lays rows out and computes attention, `answer` answers, `learn` trains, `probe` fits a head on frozen states,
`render` makes token ids (the same ones for all three), `load` opens models, `attach` and `live` put adapters on.
"""
