"""TRL's side of `learn.py`: runs under the peers' interpreter and knows nothing of us; each step is a turn."""

import json
import os
import sys
import time
from pathlib import Path

from turns import Turns, memory

turns = Turns()
started = time.perf_counter()
job = json.loads(Path(sys.argv[1]).read_text())
setting = job["setting"]
os.environ["OMP_NUM_THREADS"] = str(job["threads"])
os.environ["HF_HUB_OFFLINE"] = "1"

import torch  # noqa: E402
from datasets import Dataset  # noqa: E402
from peft import LoraConfig, get_peft_model  # noqa: E402
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback  # noqa: E402
from trl import SFTConfig, SFTTrainer  # noqa: E402

torch.set_num_threads(job["threads"])


class Clock(TrainerCallback):
    """A step is a turn. What comes between steps (the next batch, the log) is not counted."""

    def on_step_begin(self, args, state, control, **others):
        """Wait for our turn."""
        turns.wait()

    def on_step_end(self, args, state, control, **others):
        """Stop the clock."""
        self.seconds = turns.taken()

    def on_log(self, args, state, control, logs=None, **others):
        """Tell."""
        if "loss" in (logs or {}):
            turns.tell(seconds=self.seconds, loss=logs["loss"], memory=memory(), cpu=turns.cpu())


kind = torch.bfloat16 if setting["weights"] == "bf16" else torch.float32
model = AutoModelForCausalLM.from_pretrained(job["model"], dtype=kind, attn_implementation=setting["attention"])
tokenizer = AutoTokenizer.from_pretrained(job["model"])
torch.manual_seed(job["seed"])
model = get_peft_model(
    model, LoraConfig(r=16, lora_alpha=32, lora_dropout=0.0, target_modules="all-linear", task_type="CAUSAL_LM")
)
config = SFTConfig(
    output_dir=job["folder"],
    per_device_train_batch_size=job["batch"],
    max_steps=job["steps"],
    learning_rate=job["rate"],
    weight_decay=0.0,
    max_grad_norm=1.0,
    bf16=setting["bf16"],
    gradient_checkpointing=False,
    completion_only_loss=True,
    packing=setting["packing"],
    max_length=job["longest"] if not setting["packing"] else job["longest"] * job["batch"],
    train_sampling_strategy="sequential",
    loss_type=setting["loss"],
    logging_steps=1,
    save_strategy="no",
    report_to=[],
    disable_tqdm=True,
    use_cpu=True,
    dataloader_pin_memory=False,
)
if setting["packing"]:  # a packed sequence holds about a batch of rows
    config.per_device_train_batch_size = 1
rows = Dataset.from_list([{"input_ids": r["ids"], "completion_mask": r["mask"]} for r in job["rows"]])
trained = [p for p in model.parameters() if p.requires_grad]
adam = torch.optim.AdamW(trained, lr=job["rate"], weight_decay=0.0, fused=True)
schedule = torch.optim.lr_scheduler.LambdaLR(adam, lambda n: job["factors"][min(n, len(job["factors"]) - 1)])
trainer = SFTTrainer(
    model=model,
    args=config,
    train_dataset=rows,
    processing_class=tokenizer,
    callbacks=[Clock()],
    optimizers=(adam, schedule),
)
turns.tell(load=time.perf_counter() - started)
trainer.train()
