"""Answers rows with a folder that transformers (and peft) load by themselves: an adapter, or a whole model."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from label_scores import label_scores
from started import best, biased, messages_of, plain_of, run
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DynamicCache,
    GenerationConfig,
)


class LoadedFolder:
    """A folder as its consumers load it."""

    def __init__(self, folder: Path, base: str, labels: Sequence[str]) -> None:
        self.folder = folder
        self.tokenizer: Any = AutoTokenizer.from_pretrained(folder)
        file = folder / "adapter_config.json"
        self.adapter: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        settings = {} if self.adapter else json.loads((folder / "config.json").read_text(encoding="utf-8"))
        self.head = self.adapter.get("task_type") == "SEQ_CLS" or "SequenceClassification" in str(
            settings.get("architectures")
        )
        self.model = self._model(base, labels).eval()
        self.soft = self.adapter.get("peft_type") == "PROMPT_TUNING"
        ends = GenerationConfig.from_pretrained(folder).eos_token_id
        self.ends = sorted(ends if isinstance(ends, list) else [ends])

    def _model(self, base: str, labels: Sequence[str]) -> Any:
        family: Any = AutoModelForSequenceClassification if self.head else AutoModelForCausalLM
        if not self.adapter:
            return family.from_pretrained(self.folder, dtype=torch.float32)
        from peft import PeftModel

        named = self.adapter.get("base_model_name_or_path") or ""
        more = {}
        if self.head:
            file = self.folder / "labels.json"
            more["id2label"] = dict(enumerate(json.loads(file.read_text(encoding="utf-8"))))
        place = named if Path(named).is_dir() else base
        module = family.from_pretrained(place, dtype=torch.float32, **more)
        return PeftModel.from_pretrained(module, str(self.folder))

    def prompt(self, messages: list[dict[str, str]]) -> list[int]:
        """Token ids as transformers itself renders a chat."""
        if not self.tokenizer.chat_template:
            return list(self.tokenizer(plain_of(self.folder, messages))["input_ids"])
        text = self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    @torch.no_grad()
    def logits(self, prompt: Sequence[int], answers: Sequence[Sequence[int]]) -> list[Any]:
        """For each answer the logits that predict its tokens."""
        rows = []
        if self.soft or all(len(ids) == 1 for ids in answers):
            for ids in answers:
                whole = self.model(torch.tensor([[*prompt, *ids]])).logits[0].float()
                rows.append(whole[-len(ids) - 1 : -1].numpy())
            return rows
        cache = DynamicCache(config=self.model.config)
        first = self.model(torch.tensor([list(prompt)]), past_key_values=cache)
        last = first.logits[0, -1:].float()
        for ids in answers:
            after = self.model(torch.tensor([list(ids)]), past_key_values=copy.deepcopy(cache)).logits[0].float()
            rows.append(torch.cat([last, after[:-1]]).numpy())
        return rows

    def scores(self, prompt: Sequence[int], job: dict[str, Any]) -> dict[str, float]:
        """Label -> log-probability."""
        if not self.head:
            scores = label_scores(self.logits, prompt, job["answers"], job["closing"])
            return dict(biased(scores, job["bias"]))
        with torch.no_grad():
            logs = self.model(torch.tensor([list(prompt)])).logits[0].float().log_softmax(-1).tolist()
        names = self.model.config.id2label
        known = {str(names[number]): value for number, value in enumerate(logs)}
        return dict(biased({label: known[label] for label in job["answers"]}, job["bias"]))

    @torch.no_grad()
    def write(self, prompt: Sequence[int], size: int) -> str:
        """The likeliest text, up to what the folder calls an end."""
        ids = torch.tensor([list(prompt)])
        out = self.model.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=size, do_sample=False,
            eos_token_id=self.ends, pad_token_id=self.ends[0],
        )  # fmt: skip
        text = self.tokenizer.decode(out[0, len(prompt) :], skip_special_tokens=True)
        return str(text if self.tokenizer.chat_template else text.split("\n\n")[0]).strip()


def answer(job: dict[str, Any]) -> dict[str, Any]:
    """Prompts, answers and scores of the job's rows."""
    torch.set_num_threads(job["threads"])
    folder = Path(job["folder"])
    loaded = LoadedFolder(folder, job["base"], list(job["answers"]))
    prompts = [loaded.prompt(messages) for messages in messages_of(folder, job["rows"])]
    scores = [loaded.scores(prompt, job) for prompt in prompts[: len(prompts) if job["choose"] else job["probed"]]]
    answers = [best(one) for one in scores]
    if not job["choose"]:
        answers = [loaded.write(prompt, job["max_tokens"]) for prompt in prompts] if job["write"] else []
    result = {"prompts": prompts, "answers": answers, "scores": scores[: job["probed"]], "ends": loaded.ends}
    if loaded.adapter and not loaded.head:
        with loaded.model.disable_adapter():
            soft, loaded.soft = loaded.soft, False
            result["base"] = [loaded.scores(prompt, job) for prompt in prompts[: job["probed"]]]
            loaded.soft = soft
    name = "peft" if loaded.adapter else "transformers"
    return {**result, "runtime": f"{name} {version(name)}"}


if __name__ == "__main__":
    run(answer)
