"""Reasoning in an answer: the two files that are shipped by themselves, and the nouns, read it alike."""

from pathlib import Path

import pytest

from whichway.engine.model import chat_text
from whichway.nouns import Example, MetricSpec, TrainDevView
from whichway.prompts import answer_extraction

TEXTS = (
    "",
    "billing",
    "<think>it was paid twice</think>billing",
    "<think>\nit was paid twice\n</think>\n\nbilling",
    " \n<think>late</think> shipping ",
    "it was paid twice</think>billing",
    "<think>it never ends",
    "  <think>it never ends",
    "<think>a</think>b<think>c</think>d",
    "say <think> aloud",
    "</think>",
    "<think></think>",
)


@pytest.mark.parametrize("text", TEXTS)
def test_both_read_a_text_alike(text):
    assert chat_text.spoken(text) == answer_extraction.spoken(text)
    assert chat_text.thinks(text) == answer_extraction.thinks(text)
    assert (chat_text.OPEN, chat_text.CLOSE) == (answer_extraction.OPEN, answer_extraction.CLOSE)


@pytest.mark.parametrize("text", TEXTS)
def test_a_practice_thinks_where_its_answers_do(text):
    practice = TrainDevView("t", "?", (Example({"text": "x"}, text),), (), MetricSpec("exact_match"))
    if answer_extraction.CLOSE in text:  # a target is whole
        assert practice.thinks == answer_extraction.thinks(text)


def test_neither_needs_the_package():
    for module in (chat_text, answer_extraction):
        lines = Path(module.__file__).read_text(encoding="utf-8").splitlines()
        assert not [line for line in lines if line.lstrip().startswith(("import whichway", "from whichway"))]
