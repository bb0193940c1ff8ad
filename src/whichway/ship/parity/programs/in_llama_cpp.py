"""Answers rows with a GGUF file in llama.cpp: its own tokens, its own chat template, its own ends."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np
from label_scores import label_scores
from llama_cpp import Llama
from llama_cpp.llama_chat_format import Jinja2ChatFormatter
from started import best, biased, messages_of, plain_of, run


class LoadedFile:
    """A file as llama.cpp loads it."""

    def __init__(self, job: dict[str, Any], adapter: str | None = None) -> None:
        self.folder = Path(job["folder"])
        size = job["context"]
        options: dict[str, Any] = {"n_ctx": size, "n_batch": size, "n_ubatch": size, "logits_all": True}
        if adapter is not None:
            options["lora_path"] = adapter
        threads = {"n_threads": job["threads"], "n_threads_batch": job["threads"]}
        self.model = Llama(job["file"], verbose=False, type_k=0, type_v=0, **threads, **options)
        self.vocabulary = llama_cpp.llama_model_get_vocab(self.model.model)
        self.template = self.model.metadata.get("tokenizer.chat_template", "")

    def prompt(self, messages: list[dict[str, str]]) -> list[int]:
        """Token ids as llama.cpp's server renders a chat: one BOS where the file asks for it."""
        if not self.template:
            return self._ids(plain_of(self.folder, messages))
        bos, eos = self._text(self.model.token_bos()), self._text(self.model.token_eos())
        chat: Any = Jinja2ChatFormatter(self.template, eos_token=eos, bos_token=bos)
        text = str(chat(messages=messages).prompt)
        adds = self.model.metadata.get("tokenizer.ggml.add_bos_token") == "true"
        return self._ids(text.removeprefix(bos) if adds and bos else text)

    def _text(self, token: int) -> str:
        return str(self.model.detokenize([token], special=True).decode()) if token >= 0 else ""

    def _ids(self, text: str) -> list[int]:
        return list(self.model.tokenize(text.encode(), add_bos=True, special=True))

    def logits(self, prompt: Sequence[int], answers: Sequence[Sequence[int]]) -> list[Any]:
        """For each answer the logits that predict its tokens."""
        self.model.reset()
        self.model.eval(list(prompt))
        rows, size = [], len(prompt)
        for ids in answers:
            self.model.n_tokens = size  # what an earlier answer left is overwritten
            if len(ids) > 1:
                self.model.eval(list(ids[:-1]))
            rows.append(np.array(self.model.scores[size - 1 : size + len(ids) - 1]))
        return rows

    def scores(self, prompt: Sequence[int], job: dict[str, Any]) -> dict[str, float]:
        """Label -> log-probability."""
        return dict(biased(label_scores(self.logits, prompt, job["answers"], job["closing"]), job["bias"]))

    def write(self, prompt: Sequence[int], size: int) -> str:
        """The likeliest text, up to what the file calls an end."""
        self.model.reset()
        written: list[int] = []
        for token in self.model.generate(list(prompt), temp=0.0, repeat_penalty=1.0):
            if self.is_end(token):
                break
            written.append(token)
            if len(written) == size:
                break
        text = str(self.model.detokenize(written).decode(errors="replace"))
        return (text if self.template else text.split("\n\n")[0]).strip()

    def is_end(self, token: int) -> bool:
        """Whether the file lets an answer end with this token."""
        return bool(llama_cpp.llama_vocab_is_eog(self.vocabulary, token))


def answer(job: dict[str, Any]) -> dict[str, Any]:
    """Prompts, answers and scores of the job's rows."""
    loaded = LoadedFile(job, job.get("adapter"))
    prompts = [loaded.prompt(messages) for messages in messages_of(loaded.folder, job["rows"])]
    scored = prompts if job["choose"] else prompts[: job["probed"]]
    scores = [loaded.scores(prompt, job) for prompt in scored]
    answers = [best(one) for one in scores]
    if not job["choose"]:
        answers = [loaded.write(prompt, job["max_tokens"]) for prompt in prompts] if job["write"] else []
    ends = [token for token in job["closing"] if loaded.is_end(token)]
    about = f"llama.cpp (llama-cpp-python {version('llama_cpp_python')})"
    result = {"prompts": prompts, "answers": answers, "scores": scores[: job["probed"]], "ends": ends}
    if job.get("adapter"):
        bare, few = LoadedFile(job), prompts[: job["probed"]]
        result["base"] = [bare.scores(prompt, job) for prompt in few]
    return {**result, "runtime": about}


if __name__ == "__main__":
    run(answer)
