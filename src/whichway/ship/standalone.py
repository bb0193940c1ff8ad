"""Answer rows with this folder: one row a line on standard input, one answer a line on standard output.

Needs transformers, and peft when there is an adapter. It is shipped as `use.py` and does not import whichway. It asks
and reads answers as the contest did: closed labels are scored, free text is written.

    python use.py [--base MODEL] < rows.txt
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import sys
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

HERE = Path(__file__).parent
TODAY = datetime.datetime(2024, 7, 26)  # templates that print a date print this one, as in training


class Winner:
    """The shipped prompt and weights."""

    def __init__(self, base: str | None = None) -> None:
        self.facts = json.loads((HERE / "manifest.json").read_text(encoding="utf-8"))
        asked = json.loads((HERE / "messages.json").read_text(encoding="utf-8"))
        self.turns, self.mark = asked["messages"], asked["placeholder"]
        self.first, self.pool, self.near = asked.get("first", ""), asked.get("pool", []), asked.get("nearest", 0)
        self.room = asked.get("shot_characters", 0)
        if self.pool:
            by = "sentence_encoder" if (HERE / "sentence_encoder.py").is_file() else "tfidf"
            self.index = beside(by).Index([shot["text"] for shot in self.pool])
        place = str(HERE / "model") if (HERE / "model").is_dir() else base or base_folder(self.facts["weights"]["base"])
        self.tokenizer: Any = AutoTokenizer.from_pretrained(place)
        self.model: Any = AutoModelForCausalLM.from_pretrained(place, dtype=torch.float32)
        if (HERE / "adapter").is_dir():
            from peft import PeftModel

            self.model = PeftModel.from_pretrained(self.model, str(HERE / "adapter"))
        self.model.eval()
        self.chat = bool(self.tokenizer.chat_template)
        self.system = self.chat and self._takes_system()
        self.bos = [] if self.chat else self._bos()
        eos = self.model.generation_config.eos_token_id
        self.eos = [*(eos if isinstance(eos, list) else [eos]), self.tokenizer.eos_token_id]
        self.eos = [i for i in self.eos if i is not None]
        self.closing = {*self.eos, self.answer("x")[-1], *([] if self.chat else self._behind("Answer: x", "\n\n")[:1])}

    def __call__(self, text: str) -> str:
        """The answer to one row."""
        prompt = self.prompt(text)
        if self.facts["decoding"]["mode"] == "choose":
            scores = self.scores(prompt)
            return max(scores, key=lambda label: scores[label])
        how = self.facts["decoding"]
        texts = [self.write(prompt, number) for number in range(how.get("votes", 1))]
        mark = how.get("answer_mark", "")
        if not mark and len(texts) == 1:
            return texts[0]
        final = beside("answer_extraction")
        said = [final.behind(text, mark, self.facts["listed"]) if mark else text or None for text in texts]
        return final.vote(said)[0] or ""

    def prompt(self, text: str) -> list[int]:
        """Token ids of the prompt for one row."""
        turns = [{**turn, "content": turn["content"].replace(self.mark, text)} for turn in self.turns]
        turns[-1:-1] = self.shots(text)
        if self.first:
            turns[0] = {**turns[0], "content": f"{self.first}\n\n{turns[0]['content']}"}
        return self.bos + self._ids(self._ask(turns))

    def shots(self, text: str) -> list[dict[str, str]]:
        """The worked examples that are chosen for one row, the most similar last, as turns."""
        if not self.pool:
            return []
        found = self._fitting([self.pool[place] for place in self.index.nearest(text, self.near)])[::-1]
        pairs = [(("user", shot["asked"]), ("assistant", shot["answer"])) for shot in found]
        return [{"role": role, "content": content} for pair in pairs for role, content in pair]

    def _fitting(self, shots: list[dict[str, str]]) -> list[dict[str, str]]:
        """Those for which there is room, in their order."""
        room, kept = self.room, []
        for shot in shots:
            size = len(shot["text"]) + len(shot["answer"])
            if not self.room or size <= room:
                room -= size
                kept.append(shot)
        return kept

    @torch.no_grad()
    def scores(self, prompt: list[int]) -> dict[str, float]:
        """Label -> log-probability, where each token may only be one that leads to some label."""
        answers = {label: self.answer(label) for label in self.facts["labels"]}
        bias = dict(self.facts["decoding"]["bias"])
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
        ends = sorted({*self.eos, self.answer("x")[-1]})
        size = self.facts["decoding"]["max_tokens"]
        warm = self.facts["decoding"]["temperature"]
        torch.manual_seed(number)
        drawn = {"do_sample": True, "temperature": warm, "top_k": 0, "top_p": 1.0} if warm else {"do_sample": False}
        out = self.model.generate(input_ids=ids, max_new_tokens=size, eos_token_id=ends, pad_token_id=ends[0], **drawn)
        text = self.tokenizer.decode(
            [i for i in out[0, len(prompt) :].tolist() if i not in ends], skip_special_tokens=True
        )
        return str(text if self.chat else text.split("\n\n")[0]).strip()

    def answer(self, answer: str) -> list[int]:
        """Token ids of an answer behind any prompt, its turn end included."""
        ask = [{"role": "user", "content": "x"}]
        head = self._ask(ask)
        rest = f" {answer}"
        if self.chat:
            full = self._template([*ask, {"role": "assistant", "content": answer}], ask=False)
            rest = full[len(head) :] if full.startswith(head) else full[full.rfind(answer) :]
        cut = rest.find(answer) + len(answer)
        special = {i for i, token in self.tokenizer.added_tokens_decoder.items() if token.special} | set(self.eos)
        special |= set(self.tokenizer.all_special_ids)
        tail = self._ids(rest[cut:]) if rest[cut:] else []
        stop = next((n for n, i in enumerate(tail) if i in special), None)
        return [*self._behind(head, rest[:cut]), *(tail[: stop + 1] if stop is not None else [self.eos[-1]])]

    def _behind(self, head: str, body: str) -> list[int]:
        before, both = self._ids(head), self._ids(head + body)
        return both[len(before) :] if both[: len(before)] == before else self._ids(body)

    def _ask(self, turns: list[dict[str, str]]) -> str:
        if self.chat:
            return self._template(turns, ask=True).rstrip(" ")
        names = {"user": "Input: ", "assistant": "Answer: ", "system": ""}
        return "\n\n".join(names[turn["role"]] + turn["content"] for turn in turns) + "\n\nAnswer:"

    def _template(self, turns: list[dict[str, str]], ask: bool) -> str:
        if not self.system and turns[0]["role"] == "system":
            turns = [{"role": "user", "content": f"{turns[0]['content']}\n\n{turns[1]['content']}"}, *turns[2:]]
        return self._apply(turns, ask)

    def _apply(self, turns: list[dict[str, str]], ask: bool) -> str:
        told = {"enable_thinking": False, "date_string": TODAY.strftime("%d %b %Y"), "strftime_now": TODAY.strftime}
        return str(self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=ask, **told))

    def _takes_system(self) -> bool:
        try:
            turns = [{"role": "system", "content": "Mark41"}, {"role": "user", "content": "x"}]
            return "Mark41" in self._apply(turns, True)
        except Exception:  # whatever the template raises
            return False

    def _bos(self) -> list[int]:
        bos = self.tokenizer.bos_token_id
        return [bos] if bos is not None and self.tokenizer("x")["input_ids"][0] == bos else []

    def _ids(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])


def beside(name: str) -> Any:
    """A module that was shipped beside this file."""
    from importlib.util import module_from_spec, spec_from_file_location

    spec = spec_from_file_location(name, HERE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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
