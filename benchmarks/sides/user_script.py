"""What a capable user writes today to choose between a prompt and a fine-tune; under the peers' interpreter.

    python user_script.py STEP JOB.json DEV     STEP: words, encoder, shots, lora, harness

Prints one JSON line: the best score on dev of this step and that candidate's score on the test rows; the slow steps
answer the test rows only where they score more on dev than DEV, the best of the other steps.
"""

import json
import os
import sys
from pathlib import Path

job, best_dev = json.loads(Path(sys.argv[2]).read_text()), float(sys.argv[3])
os.environ |= {"OMP_NUM_THREADS": str(job["threads"]), "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
work, labels, ask = Path(job["work"]), job["labels"], job["ask"]
train, dev, test = (job[split] for split in ("train", "dev", "test"))  # of {"text", "label"}
texts = {split: [row["text"] for row in job[split]] for split in ("train", "dev", "test")}
truth = {split: [row["label"] for row in job[split]] for split in ("train", "dev", "test")}


def accuracy(answers, split):
    """Share of right answers."""
    return sum(a == b for a, b in zip(answers, truth[split], strict=True)) / len(answers)


def words():
    """Word counts and logistic regression."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    best = None
    for c in (0.1, 1, 10, 100):
        model = make_pipeline(TfidfVectorizer(ngram_range=(1, 2)), LogisticRegression(C=c, max_iter=2000))
        model.fit(texts["train"], truth["train"])
        score = accuracy(model.predict(texts["dev"]), "dev")
        if best is None or score > best[0]:
            best = score, model
    return best[0], accuracy(best[1].predict(texts["test"]), "test")


def encoder():
    """A sentence encoder: logistic regression on its vectors, and SetFit (contrastive, then a head)."""
    from datasets import Dataset
    from sentence_transformers import SentenceTransformer
    from setfit import SetFitModel, Trainer, TrainingArguments
    from sklearn.linear_model import LogisticRegression

    frozen = SentenceTransformer(job["encoder"], device="cpu")
    vectors = {split: frozen.encode(texts[split]) for split in texts}
    head = LogisticRegression(C=10, max_iter=2000).fit(vectors["train"], truth["train"])
    tried = [tuple(accuracy(head.predict(vectors[split]), split) for split in ("dev", "test"))]
    model = SetFitModel.from_pretrained(job["encoder"], labels=labels, device="cpu")
    rows = Dataset.from_list([{"text": row["text"], "label": labels.index(row["label"])} for row in train])
    options = TrainingArguments(
        output_dir=str(work / "setfit"), batch_size=16, num_epochs=1, num_iterations=20, report_to="none"
    )
    Trainer(model=model, args=options, train_dataset=rows).train()
    tried.append(tuple(accuracy(model.predict(texts[split]), split) for split in ("dev", "test")))
    return max(tried)


def shots():
    """DSPy's few-shot optimiser over llama.cpp's server: 48 rows to draw examples from, half of the dev rows.

    The server's option `--cache` is left out: with it, it grew to 20 GB.
    """
    import socket
    import subprocess
    import time
    from typing import Literal

    import dspy
    import httpx

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = [sys.executable, "-m", "llama_cpp.server", "--model", job["gguf"], "--n_ctx", "4096", "--port", port]
    command += ["--n_threads", str(job["threads"]), "--n_threads_batch", str(job["threads"])]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(120):
            try:
                httpx.get(f"http://127.0.0.1:{port}/v1/models")
                break
            except httpx.HTTPError:
                time.sleep(0.5)
        place = f"http://127.0.0.1:{port}/v1"
        # the server hears of a limit only by this name; DSPy sends another
        most = {"max_tokens": 48}
        lm = dspy.LM("openai/local", api_base=place, api_key="none", temperature=0.0, cache=True, extra_body=most)
        # asked again for JSON, so small a model writes nothing that could be read either
        dspy.configure(lm=lm, adapter=dspy.ChatAdapter(use_json_adapter_fallback=False))
        kind = Literal[tuple(labels)]
        signature = dspy.Signature({"text": (str, dspy.InputField()), "label": (kind, dspy.OutputField())}, ask)
        rows = {s: [dspy.Example(**row).with_inputs("text") for row in job[s]] for s in ("train", "dev", "test")}

        def right(example, answer, trace=None):
            return example.label == answer.label

        def score(program, asked):
            hits = 0
            for row in asked:
                try:
                    hits += program(text=row.text).label == row.label
                except Exception:  # an answer that DSPy cannot read
                    continue
            return hits / len(asked)

        tuned = dspy.BootstrapFewShot(metric=right, max_bootstrapped_demos=4, max_labeled_demos=8, max_errors=1000)
        program = tuned.compile(dspy.Predict(signature), trainset=rows["train"][:48])
        on_dev = score(program, rows["dev"][::2])
        return on_dev, score(program, rows["test"]) if on_dev > best_dev else None
    finally:
        server.terminate()
        server.wait()


def lora():
    """TRL and PEFT over four learning rates, the best on dev."""
    import subprocess

    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    subprocess.run([sys.executable, str(Path(__file__).with_name("tune_trl.py")), job["trl"]], check=True)
    torch.set_num_threads(job["threads"])
    tokenizer = AutoTokenizer.from_pretrained(job["model"], padding_side="left")
    base = AutoModelForCausalLM.from_pretrained(job["model"], dtype=torch.float32)

    def answers(model, split):
        written = []
        for n in range(0, len(job[split]), 16):
            inputs = tokenizer.apply_chat_template(
                job["prompts"][split][n : n + 16],
                add_generation_prompt=True,
                return_tensors="pt",
                return_dict=True,
                padding=True,
            )
            with torch.no_grad():
                out = model.generate(**inputs, max_new_tokens=12, do_sample=False)
            written += tokenizer.batch_decode(out[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        return [text.strip() for text in written]

    tried = []
    for run in json.loads(Path(job["trl"]).read_text())["runs"]:
        places = sorted(Path(run["folder"]).glob("checkpoint-*"), key=lambda p: int(p.name.rpartition("-")[2]))
        model = PeftModel.from_pretrained(base, places[-1]).eval()
        tried.append((accuracy(answers(model, "dev"), "dev"), places[-1]))
        base = model.unload()
    score, place = max(tried)
    if score <= best_dev:
        return score, None
    return score, accuracy(answers(PeftModel.from_pretrained(base, place).eval(), "test"), "test")


def harness():
    """The model as it is, by lm-evaluation-harness."""
    import lm_eval
    from lm_eval.tasks import TaskManager

    found = []
    for split in ("dev", "test"):
        (work / f"{split}.jsonl").write_text("\n".join(json.dumps(row) for row in job[split]))
        task = {
            "task": f"own_{split}", "dataset_path": "json", "output_type": "multiple_choice", "test_split": "train",
            "dataset_kwargs": {"data_files": {"train": str(work / f"{split}.jsonl")}},
            "doc_to_text": ask + "\nLabels: " + ", ".join(labels) + "\n\n{{text}}\nLabel:",
            "doc_to_target": "label", "doc_to_choice": labels, "metric_list": [{"metric": "acc"}],
        }  # fmt: skip
        done = lm_eval.simple_evaluate(
            model="hf", model_args={"pretrained": job["model"], "dtype": "float32"}, tasks=[task], device="cpu",
            batch_size=16, task_manager=TaskManager(), bootstrap_iters=0,
        )  # fmt: skip
        found.append(done["results"][f"own_{split}"]["acc,none"])
    return tuple(found)


if __name__ == "__main__":
    on_dev, on_test = {step.__name__: step for step in (words, encoder, shots, lora, harness)}[sys.argv[1]]()
    print(json.dumps({"dev": on_dev, "test": on_test}), flush=True)
