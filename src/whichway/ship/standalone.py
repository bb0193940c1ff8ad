"""Answer rows with this folder: one row a line on standard input, one answer a line on standard output.

Needs transformers, and peft when there is an adapter. It is shipped as `use.py` and does not import whichway. It asks
and reads answers as the contest did: closed labels are scored, free text is written. A row with several fields is a
JSON object, a conversation a JSON list of messages.

    python use.py [--base MODEL] < rows.txt
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import sys
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, DynamicCache

HERE = Path(__file__).parent


def beside(name: str) -> Any:
    """A module that was shipped beside this file."""
    from importlib.util import module_from_spec, spec_from_file_location

    spec = spec_from_file_location(name, HERE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Winner:
    """The shipped prompt and weights."""

    def __init__(self, base: str | None = None) -> None:
        self.facts = json.loads((HERE / "manifest.json").read_text(encoding="utf-8"))
        self.rows = beside("row_messages").RowMessages(HERE)
        self.label = self.rows.label
        place = str(HERE / "model") if (HERE / "model").is_dir() else base or base_folder(self.facts["weights"]["base"])
        self.tokenizer: Any = AutoTokenizer.from_pretrained(place)
        self.heads: list[str] = []  # the labels, where a head over them answers
        self.model: Any = self._open(place)
        if (HERE / "adapter").is_dir():
            from peft import PeftModel

            self.model = PeftModel.from_pretrained(self.model, str(HERE / "adapter"))
        self.soft = bool(getattr(getattr(self.model, "active_peft_config", None), "is_prompt_learning", False))
        self.model.eval()
        eos = getattr(getattr(self.model, "generation_config", None), "eos_token_id", None)
        named = eos if isinstance(eos, list) else [eos]
        self.text = beside("chat_text")
        self.chat = self.text.ChatText(self.tokenizer, [i for i in named if i is not None])
        self.ends = {*self.chat.eos, self.answer("x")[-1]}
        self.closing = self.ends | self.chat.breaks()
        self.context = int(getattr(self.model.config, "max_position_embeddings", None) or 2048)
        self.think = bool(self.facts["decoding"].get("thinking"))

    def _open(self, place: str) -> Any:
        if not (HERE / "adapter" / "labels.json").is_file():
            return AutoModelForCausalLM.from_pretrained(place, dtype=torch.float32)
        from transformers import AutoModelForSequenceClassification

        self.heads = json.loads((HERE / "adapter" / "labels.json").read_text(encoding="utf-8"))
        names = dict(enumerate(self.heads))
        return AutoModelForSequenceClassification.from_pretrained(place, id2label=names, dtype=torch.float32)

    def __call__(self, row: Any) -> str:
        """The answer to one row: its text, its fields by name, or the messages of a conversation."""
        if self.facts["decoding"]["mode"] == "choose":
            scores = self.label_scores(row)
            return max(scores, key=lambda label: scores[label])
        how = self.facts["decoding"]
        prompt = self.prompt(row)
        texts = [self.write(prompt, number) for number in range(how.get("votes", 1))]
        mark = how.get("answer_mark", "")
        if not mark and len(texts) == 1:
            return texts[0]
        final = beside("answer_extraction")
        answers = [final.extract(text, mark, self.facts["listed"]) if mark else text or None for text in texts]
        return final.vote(answers)[0] or ""

    def prompt(self, row: Any) -> list[int]:
        """Token ids of the prompt for one row."""
        how = self.facts["decoding"]
        room = min(how.get("max_tokens", 1), self.context // 2)
        if how["mode"] == "choose":
            room = max(len(self.answer(label)) for label in self.facts["labels"])
        ids: list[int] = self.chat.fitted(self.messages(row), self.context - room, self.think)[0]
        return ids

    def label_scores(self, row: Any) -> dict[str, float]:
        """Label -> log-probability of it for one row."""
        return self.likelihoods(row) if self.label else self.scores(self.prompt(row))

    @torch.no_grad()
    def likelihoods(self, row: Any) -> dict[str, float]:
        """Label -> log-probability of the row's text under it, as a share of all labels'."""
        *head, turn, said_row = self.messages(row)
        ids, sums = self.answer(said_row["content"].strip()), []
        for label in self.facts["labels"]:
            turns = [*head, {**turn, "content": turn["content"].replace(self.label, label)}]
            (prompt,) = self.chat.prompt_ids([turns])
            logits = self.model(torch.tensor([prompt + ids], device=self.model.device)).logits[0].double()
            parts = logits[-len(ids) - 1 : -1].log_softmax(-1)
            sums.append(parts[range(len(ids)), ids].sum())
        bias = dict(self.facts["decoding"]["bias"])
        shares = torch.stack(sums).log_softmax(-1).tolist()
        return {label: s + bias.get(label, 0.0) for label, s in zip(self.facts["labels"], shares, strict=True)}

    def messages(self, row: Any) -> list[dict[str, Any]]:
        """The chat messages for one row."""
        turns: list[dict[str, Any]] = self.rows(row)
        return turns

    def shots(self, text: str) -> list[dict[str, str]]:
        """The worked examples that are chosen for one row, the most similar last, as turns."""
        turns: list[dict[str, str]] = self.rows.shots(text)
        return turns

    @torch.no_grad()
    def scores(self, prompt: list[int]) -> dict[str, float]:
        """Label -> log-probability, where each token may only be one that leads to some label."""
        bias = dict(self.facts["decoding"]["bias"])
        if self.heads:
            logits = self.model(torch.tensor([prompt], device=self.model.device)).logits[0].float()
            known = dict(zip(self.heads, logits.log_softmax(-1).tolist(), strict=True))
            return {label: known[label] + bias.get(label, 0.0) for label in self.facts["labels"]}
        answers = {label: self.answer(label) for label in self.facts["labels"]}
        return {label: score + bias.get(label, 0.0) for label, score in self.scores_of(prompt, answers).items()}

    @torch.no_grad()
    def scores_of(self, prompt: list[int], answers: dict[str, list[int]]) -> dict[str, float]:
        """Answer -> log-probability of its token ids among all of them."""
        all_ids = list(answers.values())
        logits = self._logits(prompt, all_ids)
        return {
            answer: self._score(rows, ids, all_ids)
            for (answer, ids), rows in zip(answers.items(), logits, strict=True)
        }

    def _logits(self, prompt: list[int], answers: list[list[int]]) -> list[Any]:
        """For each answer the logits `[tokens, vocabulary]` that predict its tokens; the prompt is read once."""
        device = self.model.device
        if self.soft:  # vectors stand in front of whatever is read
            wholes = [self.model(torch.tensor([prompt + ids], device=device)).logits[0].float() for ids in answers]
            return [whole[-len(ids) - 1 : -1] for whole, ids in zip(wholes, answers, strict=True)]
        cache = DynamicCache(config=self.model.config)
        first = self.model(torch.tensor([prompt], device=device), past_key_values=cache)
        last, rows = first.logits[0, -1:].float(), []
        for ids in answers:
            if len(ids) == 1:
                rows.append(last)
                continue
            after = self.model(torch.tensor([ids[:-1]], device=device), past_key_values=copy.deepcopy(cache))
            rows.append(torch.cat([last, after.logits[0].float()]))
        return rows

    def _score(self, logits: Any, ids: list[int], answers: list[list[int]]) -> float:
        total = 0.0
        for depth, token in enumerate(ids):
            open_ = sorted({other[depth] for other in answers if other[:depth] == ids[:depth] and len(other) > depth})
            if len(open_) > 1:
                here = logits[depth]
                groups = [sorted({t} | (self.closing - set(open_))) if t in self.closing else [t] for t in open_]
                each = torch.stack([here[group].logsumexp(-1) for group in groups]).log_softmax(-1)
                total += float(each[open_.index(token)])
        return total

    @torch.no_grad()
    def write(self, prompt: list[int], number: int = 0) -> str:
        """Free text: the likeliest at temperature 0, else drawn; `number` is the seed of the draw."""
        ids = torch.tensor([prompt], device=self.model.device)
        ends = sorted(self.ends)
        size = self.facts["decoding"]["max_tokens"]
        warm = self.facts["decoding"]["temperature"]
        torch.manual_seed(number)
        drawn = {"do_sample": True, "temperature": warm, "top_k": 0, "top_p": 1.0} if warm else {"do_sample": False}
        out = self.model.generate(input_ids=ids, max_new_tokens=size, eos_token_id=ends, pad_token_id=ends[0], **drawn)
        text = self.tokenizer.decode(
            [i for i in out[0, len(prompt) :].tolist() if i not in ends], skip_special_tokens=True
        )
        answer: str = self.text.spoken(str(text if self.chat.chat else text.split("\n\n")[0]).strip())[0]
        return answer

    def answer(self, answer: str) -> list[int]:
        """Token ids of an answer after any prompt, its turn end included."""
        return list(self.chat.answer_ids(answer))


def base_folder(name: str) -> str:
    """The base model's place: a folder, one in whichway's model cache or package, or a hub name as it is."""
    cached = model_cache() / name / "model"
    if Path(name).is_dir() or cached.is_dir():
        return name if Path(name).is_dir() else str(cached)
    from importlib.util import find_spec

    package = find_spec("whichway")
    if name == "embedded" and package is not None and package.origin is not None:
        return str(Path(package.origin).parent / "embedded" / "model")
    if name == "embedded" or ":" in name or name.endswith(".gguf"):
        raise SystemExit(f"the base is {name}: give its folder with --base (`whichway models show {name}` tells it)")
    return name


def model_cache() -> Path:
    """The folder in which whichway keeps models."""
    if os.environ.get("WHICHWAY_MODELS"):
        return Path(os.environ["WHICHWAY_MODELS"]).expanduser()
    places = {"darwin": "~/Library/Caches", "win32": os.environ.get("LOCALAPPDATA") or "~/AppData/Local"}
    place = places.get(sys.platform) or os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(place).expanduser() / "whichway" / "models"


def main() -> None:
    """Read rows, write answers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", help="the base model's folder or hub name, when it is not where it was")
    winner = Winner(parser.parse_args().base)
    for line in sys.stdin:
        if line.strip():
            print(winner(line.rstrip("\n")), flush=True)


if __name__ == "__main__":
    main()
