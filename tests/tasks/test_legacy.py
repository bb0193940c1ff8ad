"""OpenAI's older files, and texts that went through a chat template already."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from whichway.errors import DataError
from whichway.tasks import examine, from_flags

WORDS = ("red", "green", "blue")


def rows(folder: Path, prompt: str, completion: str) -> Path:
    lines = [
        {"prompt": prompt.format(f"lamp {n} of {w}"), "completion": completion.format(w)}
        for n in range(12)
        for w in WORDS
    ]
    path = folder / "d.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    return path


@pytest.mark.parametrize(
    ("prompt", "completion", "separator", "stop"),
    [
        ("{} ->", " {}\n", "'->'", None),
        ("{}\n\n###\n\n", " {} END", "'###'", "'END'"),
        ("{}", " {} ###", None, "'###'"),
        ("{}\n===>", " {}<|endoftext|>", "'=>'", "'<|endoftext|>'"),
        ("{}...", "{}", None, None),
        ("Is it {}?", "{} LEGEND", None, None),
    ],
)
def test_separators_are_told_and_stop_words_left_out(
    prompt: str, completion: str, separator: str | None, stop: str | None, tmp_path: Path
) -> None:
    found = examine(from_flags(data=rows(tmp_path, prompt, completion)))
    told = " ".join(found.findings.warnings)
    assert ("Each prompt ends with" in told) == bool(separator)
    assert ("Each completion ends with" in told) == bool(stop)
    assert (separator or "") in told
    assert (stop or "") in told
    words = WORDS if "LEGEND" not in completion else tuple(f"{w} LEGEND" for w in WORDS)
    assert set(found.task.labels) == set(words)
    assert separator is None or found.task.train[0].text.endswith(separator.strip("'"))


TEMPLATED = {
    "chatml": "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n{}<|im_end|>",
    "llama 3": "<|start_header_id|>user<|end_header_id|>\n\n{}<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\n{}",
    "llama 2": "<s>[INST] {} [/INST] {} </s>",
    "gemma": "<start_of_turn>user\n{}<end_of_turn>\n<start_of_turn>model\n{}<end_of_turn>",
    "zephyr": "<|user|>\n{}</s>\n<|assistant|>\n{}</s>",
    "guanaco": "### Human: {}\n### Assistant: {}",
    "alpaca": "### Instruction:\n{}\n\n### Response:\n{}",
    "deepseek": "<｜User｜>{}<｜Assistant｜>{}",
}


@pytest.mark.parametrize("name", TEMPLATED)
def test_templated_texts_are_refused_by_name(name: str, tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    path.write_text("\n".join(json.dumps({"text": TEMPLATED[name].format(n, w)}) for n in range(12) for w in WORDS))
    with pytest.raises(DataError, match="written in a chat template"):
        examine(from_flags(data=path))


def test_marks_in_answers_are_told(tmp_path: Path) -> None:
    lines = [{"text": f"lamp {n} {w}", "label": f"{w}<|im_end|>"} for n in range(12) for w in WORDS]
    (tmp_path / "d.jsonl").write_text("\n".join(map(json.dumps, lines)))
    warnings = examine(from_flags(data=tmp_path / "d.jsonl")).findings.warnings
    assert any(w.startswith("36 answers hold marks of chat templates (<|im_end|>") for w in warnings)
