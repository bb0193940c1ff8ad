"""The texts around the tables of `tune_trl.py`."""

HEAD = """# Fine-tuning quality: our `tune_lora` and TRL + PEFT at its best

`python benchmarks/tune_trl.py --peers PYTHON --evals EVALS --model {model}`; peers as in `benchmarks/peers.txt`. LoRA of
rank 16 on all linear layers, {train} training rows, {epochs} epochs of batch {batch}, rates {rates}. TRL: every rate in full
(float32 weights, bfloat16 autocast, completion-only loss, linear decay with the same warm-up), the best (rate, checkpoint)
of four checkpoints on {dev} dev rows. Ours: `tune_lora` in a contest, rates by successive halving, the latest checkpoint
within a standard error of the best on the same dev rows (both sides' checkpoints on all of them: `--no-race`). Seeds of
the winner: ours {our}, TRL {their}. Test scores in percent, mean of the seeds, with standard errors over rows. The gap has two standard errors: over rows (paired), and over rows and seeds, which is that of a
comparison of two methods: a training's score differs by {seeds} points between seeds (standard deviation, pooled over
all sets and both sides' single trainings), and the same rows cannot tell that apart. The last column is the same training without a
search, at the rate that TRL found best: what is missing there to the column "ours" is the search's, not the training's.
Which rate wins where dev cannot tell rates apart (1.6 times the rule of thumb) was chosen on other rows, also of four of
these sets (`rate_search.md`). "Averaged" is `tune_lora.soup = {soup}`: at the rate found, {soup} trainings in different
orders from one start, averaged into one adapter, for each of {our} seeds. A seed of it costs {soup} runs beside the search's {searched}; TRL's sweep costs four.
All runs have {steps} steps (`tune_lora` itself takes 100 at least), because TRL needs hours for more.

| set | test rows | TRL + PEFT | ours | ours − TRL | error, rows | error, rows and seeds | within one, or above: rows | rows and seeds | averaged | averaged − TRL | error, rows | error, rows and seeds | within one, or above: rows | rows and seeds | TRL's rate, checkpoint | our rates | search, in whole runs | ours at TRL's rate |
|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|
{lines}

Within one standard error of TRL's best, or above, by the error over rows and seeds: {holds} of {count} sets with one training, {soups}
with {soup} averaged; by the error over rows alone {holds_rows} and {soups_rows}. Mean over the sets: ours − TRL {mean}, averaged − TRL {soup_mean}.
"""  # noqa: E501

SHORT_HEAD = """# Fine-tuning quality on {model}: our `tune_lora` and TRL + PEFT at its best

`python benchmarks/tune_trl.py --peers PYTHON --evals EVALS --model {model} --short`; peers as in `benchmarks/peers.txt`. LoRA
of rank 16 on all linear layers, {train} training rows, {epochs} epochs of batch {batch} ({steps} steps) on both sides. TRL: each of the rates
{rates} in full (float32 weights, bfloat16 autocast, completion-only loss, linear decay with the same warm-up), the best (rate,
checkpoint) of four checkpoints on {dev} dev rows. Ours: `tune_lora` in a contest with its own default rates and their early
choice, the latest checkpoint within a standard error of the best on the same dev rows. One training of the winner on each
side. Test scores in percent with standard errors over rows; the difference is paired by rows, and the noise between seeds,
which is the same for both, is no part of its error.

| set | test rows | TRL + PEFT | ours | ours − TRL | within one standard error, or above | TRL's rate, checkpoint | ours | search, in whole runs |
|---|---|---|---|---|---|---|---|---|
{lines}

Within one standard error of TRL's best, or above: {held} of {count}. The search takes at most {most:g} whole runs; TRL's sweep takes four.
"""  # noqa: E501
