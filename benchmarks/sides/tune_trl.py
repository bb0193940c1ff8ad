"""TRL's side of `tune_trl.py`: every rate in full, with checkpoints; under the peers' interpreter."""

import json
import os
import sys
import time
from pathlib import Path

job = json.loads(Path(sys.argv[1]).read_text())
os.environ["OMP_NUM_THREADS"] = str(job["threads"])
os.environ["HF_HUB_OFFLINE"] = "1"

import torch  # noqa: E402
from datasets import Dataset  # noqa: E402
from peft import LoraConfig  # noqa: E402
from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: E402
from trl import SFTConfig, SFTTrainer  # noqa: E402

torch.set_num_threads(job["threads"])
lora = LoraConfig(r=16, lora_alpha=32, lora_dropout=0.0, target_modules="all-linear", task_type="CAUSAL_LM")
rows = Dataset.from_list(job["rows"])
tokenizer = AutoTokenizer.from_pretrained(job["model"])
for run in job["runs"]:
    folder = Path(run["folder"])
    if (folder / "done.json").exists():
        continue
    torch.manual_seed(run["seed"])
    config = SFTConfig(
        output_dir=str(folder),
        per_device_train_batch_size=job["batch"],
        num_train_epochs=job["epochs"],
        learning_rate=run["rate"],
        lr_scheduler_type="linear",
        warmup_steps=max(1, round(0.06 * job["epochs"] * -(-len(rows) // job["batch"]))),
        weight_decay=0.0,
        max_grad_norm=1.0,
        bf16=True,
        gradient_checkpointing=False,
        completion_only_loss=True,
        packing=False,
        max_length=1024,
        save_strategy="steps",
        save_steps=job["every"],
        save_only_model=True,
        logging_strategy="epoch",
        report_to=[],
        disable_tqdm=True,
        use_cpu=True,
        dataloader_pin_memory=False,
        seed=run["seed"],
        data_seed=run["seed"],
    )
    trainer = SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(job["model"], dtype=torch.float32),
        args=config,
        train_dataset=rows,
        processing_class=tokenizer,
        peft_config=lora,
    )
    started, worked = time.perf_counter(), time.process_time()
    trainer.train()
    told = {"seconds": time.perf_counter() - started, "cpu": time.process_time() - worked}
    told["steps"] = trainer.state.global_step
    told["losses"] = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    (folder / "done.json").write_text(json.dumps(told))
    print(json.dumps({**run, **told}), flush=True)
