"""Answer rows with this folder: one row a line on standard input, one answer a line on standard output.

Needs transformers, and peft when there is an adapter. It is shipped as `use.py` and does not import whichway. It asks
and reads answers as the contest did: closed labels are scored, free text is written. A row with several fields is a
JSON object, a conversation a JSON list of messages.

    python use.py [--base MODEL] < rows.txt
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

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
        description = json.loads((HERE / "messages.json").read_text(encoding="utf-8"))
        self.turns, self.mark, self.label = (
            description["messages"],
            description["placeholder"],
            description.get("label", ""),
        )
        self.variables, self.own = description.get("variables", {}), description.get("own", 1)
        self.first, self.pool, self.near = (
            description.get("first", ""),
            description.get("pool", []),
            description.get("nearest", 0),
        )
        self.room = description.get("shot_characters", 0)
        if self.pool:
            by = "sentence_encoder" if (HERE / "sentence_encoder.py").is_file() else "tfidf"
            self.index = beside(by).Index([shot["text"] for shot in self.pool])
        place = str(HERE / "model") if (HERE / "model").is_dir() else base or base_folder(self.facts["weights"]["base"])
        self.tokenizer: Any = AutoTokenizer.from_pretrained(place)
        self.heads: list[str] = []  # the labels, where a head over them answers
        self.model: Any = self._open(place)
        if (HERE / "adapter").is_dir():
            from peft import PeftModel

            self.model = PeftModel.from_pretrained(self.model, str(HERE / "adapter"))
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
        whole, fields, talk = self.read(row)
        talk = [] if self.label else talk  # texts are scored under labels as wholes
        own = [turn for turn in talk[:1] if turn["role"] == "system"]
        last = talk[-1]["content"] if talk else whole
        earlier = [{**turn, "earlier": True} for turn in talk[len(own) : -1]]
        turns = [{**turn, "content": self.filled(turn["content"], last, fields)} for turn in self.turns]
        turns[-1:-1] = earlier
        behind = 2 if self.label else self.own + len(earlier)
        turns[len(turns) - behind : len(turns) - behind] = self.shots(whole)
        if own and turns[0]["role"] == "system":
            turns[0] = {**turns[0], "content": f"{turns[0]['content']}\n\n{own[0]['content']}"}
        elif own:
            turns.insert(0, own[0])
        if self.first:
            place = next(n for n, turn in enumerate(turns) if turn["role"] == "user" and not turn.get("earlier"))
            turns[place] = {**turns[place], "content": f"{self.first}\n\n{turns[place]['content']}"}
        return turns

    def read(self, row: Any) -> tuple[str, dict[str, str], list[dict[str, str]]]:
        """A row as one text, its fields, and the turns of its conversation where it is one."""
        names = self.facts.get("fields") or ["text"]
        several = len(names) > 1
        if isinstance(row, str) and (several or (self.facts.get("conversation") and row.lstrip()[:1] in ("[", "{"))):
            row = json.loads(row)
        if isinstance(row, dict) and "messages" in row and self.facts.get("conversation"):
            row = row["messages"]
        if isinstance(row, list):
            talk = [turn for turn in row if turn["role"] != "system"]
            whole = transcript(talk)
            column = next((name for name in names if name != "system"), "input")
            fields = {"system": "\n\n".join(t["content"] for t in row if t["role"] == "system"), column: whole}
            known = {name: fields[name] for name in names if name in fields}
            text = lines(known) if len(known) > 1 else whole
            return text, {**fields, column: talk[-1]["content"]}, row
        if isinstance(row, dict):
            fields = {name: v if isinstance(v, str) else json.dumps(v, ensure_ascii=False) for name, v in row.items()}
            known = {name: fields[name] for name in names}
            return (lines(known) if len(known) > 1 else fields[names[0]]), fields, []
        return row, {names[0]: row}, []

    def filled(self, text: str, last: str, fields: dict[str, str]) -> str:
        """A message of the prompt with the row in it; what is put in is not read again."""
        values = {self.mark: last, **{mark: fields.get(name, last) for name, mark in self.variables.items()}}
        return re.sub("|".join(map(re.escape, values)), lambda match: values[match.group()], text)

    def shots(self, text: str) -> list[dict[str, str]]:
        """The worked examples that are chosen for one row, the most similar last, as turns."""
        if not self.pool:
            return []
        chosen = self._fitting([self.pool[place] for place in self.index.nearest(text, self.near)])[::-1]
        turns: list[dict[str, str]] = []
        for shot in chosen:
            turns += [*shot.get("before", []), {"role": "user", "content": shot["asked"]}]
            turns.append({"role": "assistant", "content": shot["answer"]})
        return turns

    def _fitting(self, shots: list[dict[str, str]]) -> list[dict[str, str]]:
        """Those for which there is room, in their order."""
        room, chosen = self.room, []
        for shot in shots:
            size = len(shot["text"]) + len(shot["answer"])
            if not self.room or size <= room:
                room -= size
                chosen.append(shot)
        return chosen

    @torch.no_grad()
    def scores(self, prompt: list[int]) -> dict[str, float]:
        """Label -> log-probability, where each token may only be one that leads to some label."""
        bias = dict(self.facts["decoding"]["bias"])
        if self.heads:
            logits = self.model(torch.tensor([prompt], device=self.model.device)).logits[0].float()
            known = dict(zip(self.heads, logits.log_softmax(-1).tolist(), strict=True))
            return {label: known[label] + bias.get(label, 0.0) for label in self.facts["labels"]}
        answers = {label: self.answer(label) for label in self.facts["labels"]}
        return {
            label: self._score(prompt, ids, list(answers.values())) + bias.get(label, 0.0)
            for label, ids in answers.items()
        }

    def _score(self, prompt: list[int], ids: list[int], answers: list[list[int]]) -> float:
        logits = self.model(torch.tensor([prompt + ids], device=self.model.device)).logits[0].float()
        logits = logits[-len(prompt + ids) :]  # a soft prompt stands in front
        total = 0.0
        for depth, token in enumerate(ids):
            open_ = sorted({other[depth] for other in answers if other[:depth] == ids[:depth] and len(other) > depth})
            if len(open_) > 1:
                here = logits[len(prompt) + depth - 1]
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


def transcript(talk: list[dict[str, str]]) -> str:
    """A conversation as one text, as it was compared with others."""
    return talk[0]["content"] if len(talk) == 1 else lines((turn["role"], turn["content"]) for turn in talk)


def lines(pairs: Any) -> str:
    """Names and values, one line each."""
    return "\n".join(f"{name}: {value}" for name, value in (pairs.items() if isinstance(pairs, dict) else pairs))


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
