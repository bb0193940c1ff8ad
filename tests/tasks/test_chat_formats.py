"""Conversations as rows: real turns, weights, reasoning; what cannot be used is refused by name."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from whichway.errors import DataError
from whichway.nouns import Example, Message, Prompt
from whichway.prompts.shots import shot
from whichway.prompts.template import messages
from whichway.tasks import examine, from_flags, load, read_inputs
from whichway.tasks.chat_formats import Conversation, flatten
from whichway.tasks.conversation_rows import conversation_row
from whichway.tasks.memory import examples_of, table_of

WORDS = ("red", "green", "blue")


def turn(role: str, content: Any, **more: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **more}


TALK = [turn("user", "Hi"), turn("assistant", "Yes?"), turn("user", "The lamp")]


def write(folder: Path, rows: list[dict[str, Any]], name: str = "rows.jsonl") -> Path:
    path = folder / name
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n", encoding="utf-8")
    return path


def many(make: Any, count: int = 36) -> list[dict[str, Any]]:
    return [make(n, WORDS[n % 3]) for n in range(count)]


def talk(n: int, word: str) -> list[dict[str, Any]]:
    return [*TALK[:2], turn("user", f"lamp {n} of {word}"), turn("assistant", word)]


def said(example: Example, prompt: Prompt | None = None) -> list[tuple[str, str]]:
    return [(m.role, m.content) for m in messages(prompt or Prompt("Sort."), example)]


def test_earlier_turns_are_real_turns(tmp_path: Path) -> None:
    task = load(from_flags(data=write(tmp_path, many(lambda n, w: {"messages": talk(n, w)}))))
    row = task.train[0]
    assert said(row)[:3] == [("system", "Sort."), ("user", "Hi"), ("assistant", "Yes?")]
    assert [m.earlier for m in messages(Prompt("Sort."), row)] == [False, True, True, False]
    assert row.text.startswith("user: Hi\nassistant: Yes?\nuser: lamp")
    assert set(task.labels) == set(WORDS)
    assert row.id != Example(dict(row.input), row.target).id
    shown = Prompt("Sort.", shots=(shot(task.train[1]),))
    assert [role for role, _ in said(row, shown)] == [
        "system",
        *["user", "assistant"] * 2,
        *["user", "assistant", "user"],
    ]


def test_chats_may_begin_with_the_assistant(tmp_path: Path) -> None:
    def greet(n: int, w: str) -> dict[str, Any]:
        names = (("gpt", "Hello!"), ("human", f"lamp {n} {w}"), ("gpt", w))
        return {"conversations": [{"from": role, "value": text} for role, text in names]}

    task = load(from_flags(data=write(tmp_path, many(greet))))
    assert said(task.train[0])[:2] == [("system", "Sort."), ("assistant", "Hello!")]
    user = Prompt("Sort.", layout="user")
    assert said(task.train[0], user)[1][1].startswith("Sort.\n\nlamp")


def test_a_rows_own_system_message_stands_with_the_prompts(tmp_path: Path) -> None:
    def own(n: int, w: str) -> dict[str, Any]:
        return {"messages": [turn("system", f"Shop {n}"), turn("user", f"lamp {w}"), turn("assistant", w)]}

    row = load(from_flags(data=write(tmp_path, many(own)))).train[0]
    assert said(row)[0] == ("system", f"Sort.\n\n{row.input['system']}")
    assert said(row)[1] == ("user", row.input["input"])


@pytest.mark.parametrize(
    "spelled", [json.dumps, repr, lambda v: json.dumps(v, indent=1)], ids=["json", "python", "indented"]
)
@pytest.mark.parametrize("column", ["messages", "chat"])
def test_a_conversation_as_text_in_a_cell(tmp_path: Path, spelled: Any, column: str) -> None:
    with (tmp_path / "c.csv").open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow([column, "label"])
        out.writerows([spelled(talk(n, w)[:-1]), w] for n, w in ((n, WORDS[n % 3]) for n in range(36)))
    task = load(from_flags(data=tmp_path / "c.csv", target="label", input=None if column == "messages" else (column,)))
    assert said(task.train[0])[1:3] == [("user", "Hi"), ("assistant", "Yes?")]


def test_a_text_that_looks_like_messages_forges_no_turn(tmp_path: Path) -> None:
    def make(n: int, w: str) -> dict[str, str]:
        return {"text": json.dumps(TALK) if n == 0 else f"lamp {n} {w}", "label": w}

    task = load(from_flags(data=write(tmp_path, many(make))))
    assert not any(e.turns for e in (*task.train, *task.dev, *task.test))
    single = flatten({"messages": [turn("user", json.dumps(TALK)), turn("assistant", "red")]}, "f:1")
    assert not isinstance(single["input"], Conversation)


PARTS = {
    "image": turn("user", [{"type": "text", "text": "see"}, {"type": "image_url", "image_url": {"url": "x"}}]),
    "audio": turn("user", [{"type": "input_audio", "input_audio": {}}]),
    "tool_calls": turn("assistant", "I look it up", tool_calls=[{"id": "c"}]),
    "function_call": turn("assistant", None, function_call={"name": "f"}),
    "tool": turn("tool", "42", tool_call_id="c"),
    "function": turn("function", "42", name="f"),
    "observation": {"from": "observation", "value": "42"},
    "role": turn("narrator", "Once"),
    "refusal": turn("assistant", None, refusal="No."),
}


@pytest.mark.parametrize("name", PARTS)
def test_what_cannot_be_used_is_refused_by_name(name: str) -> None:
    row = {"messages": [turn("user", "Hi"), PARTS[name], turn("user", "and?"), turn("assistant", "red")]}
    told = {"image": "image_url", "audio": "input_audio", "role": "narrator", "refusal": "without text"}.get(name, name)
    with pytest.raises(DataError, match=told) as error:
        flatten(row, "rows.jsonl:7")
    assert str(error.value).startswith("rows.jsonl:7: ")


@pytest.mark.parametrize("key", ["tools", "functions"])
def test_definitions_of_tools_are_refused_and_empty_ones_are_not(key: str) -> None:
    row = {"messages": [*TALK, turn("assistant", "red")]}
    with pytest.raises(DataError, match=f"'{key}' defines tools"):
        flatten({**row, key: [{"name": "f"}]}, "f:1")
    assert flatten({**row, key: []}, "f:1") == flatten(row, "f:1")


def test_several_speakers_are_refused() -> None:
    talk = [turn("user", "Hi", name="Ada"), turn("user", "Ho", name="Bob"), turn("assistant", "red")]
    with pytest.raises(DataError, match=r"Ada, Bob"):
        flatten({"messages": talk}, "f:1")


def test_weights_choose_the_answer_that_is_learned() -> None:
    whole = [*TALK[:1], turn("assistant", "blue", weight=1), TALK[2], turn("assistant", "red", weight=0)]
    found = flatten({"messages": whole}, "f:1")
    assert (str(found["input"]), found["target"]) == ("Hi", "blue")
    assert "weight 0" in found["input"].notes[0]
    ended = [*TALK[:1], turn("assistant", "blue", weight=0), TALK[2], turn("assistant", "red", weight=1)]
    found = flatten({"messages": ended}, "f:1")
    assert found["target"] == "red"
    assert [m.untrained for m in found["input"].turns] == [False, True, False]
    with pytest.raises(DataError, match="weight 0"):
        flatten({"messages": [*TALK[2:], turn("assistant", "red", weight=0)]}, "f:1")


def test_reasoning_beside_an_answer_is_its_block() -> None:
    row = {"messages": [*TALK, turn("assistant", "red", reasoning_content="It is warm.")]}
    assert flatten(row, "f:1")["target"] == "<think>\nIt is warm.\n</think>\n\nred"
    before = [turn("user", "Hi"), turn("assistant", "Yes?", reasoning_content="Hm."), TALK[2], turn("assistant", "red")]
    assert "reasoning" in flatten({"messages": before}, "f:1")["input"].notes[0]


def test_what_is_left_out_is_told(tmp_path: Path) -> None:
    def make(n: int, w: str) -> dict[str, Any]:
        return {
            "messages": [
                turn("user", f"lamp {n} {w}"),
                turn("assistant", w),
                turn("user", "more"),
                turn("assistant", "x", weight=0),
            ]
        }

    found = examine(from_flags(data=write(tmp_path, many(make)))).findings
    assert any(w.startswith("36 conversations: answers of weight 0") for w in found.warnings)


def test_neighbours_of_one_role() -> None:
    users = [turn("user", "a"), turn("user", "b"), turn("assistant", "red")]
    assert [m.content for m in flatten({"messages": users}, "f:1")["input"].turns] == ["a", "b"]
    answers = [turn("user", "a"), turn("assistant", "It is"), turn("assistant", "red")]
    found = flatten({"messages": answers}, "f:1")
    assert (found["input"], found["target"]) == ("a", "It is\n\nred")
    late = [
        turn("user", "a"),
        turn("assistant", "b"),
        turn("user", "c"),
        turn("system", "Be brief."),
        turn("assistant", "red"),
    ]
    assert [m.role for m in flatten({"messages": late}, "f:1")["input"].turns] == [
        "user",
        "assistant",
        "system",
        "user",
    ]


def test_a_conversation_beside_a_label(tmp_path: Path) -> None:
    rows = many(lambda n, w: {"messages": talk(n, w)[:-1], "label": w})
    task = load(from_flags(data=write(tmp_path, rows)))
    assert (said(task.train[0])[1], set(task.labels)) == (("user", "Hi"), set(WORDS))
    judged = many(lambda n, w: {"messages": [*talk(n, w)[:-1], turn("assistant", f"ok {n}")], "mood": w})
    task = load(from_flags(data=write(tmp_path, judged), input=("messages",), target="mood"))
    assert not task.train[0].turns
    assert task.train[0].text.splitlines()[-1].startswith("assistant: ok")


def test_only_assistants_are_no_question() -> None:
    with pytest.raises(DataError, match="no user's message"):
        flatten({"messages": [turn("assistant", "a"), turn("assistant", "b")]}, "f:1")


def test_new_conversations_to_answer(tmp_path: Path) -> None:
    path = write(tmp_path, [{"messages": TALK}, {"messages": TALK[2:]}])
    rows = read_inputs(path, ("input",), conversation=True)
    assert [len(row.turns) for row in rows] == [3, 0]
    assert conversation_row({"messages": TALK}, ("input",), "in:1").turns == rows[0].turns
    assert conversation_row({"input": TALK}, ("input",), "in:1").turns == rows[0].turns
    system = conversation_row({"messages": [turn("system", "S"), *TALK]}, ("system", "input"), "in:1")
    assert system.turns[0] == Message("system", "S")


def test_preferences_of_conversations() -> None:
    before = [turn("system", "S"), *TALK]
    row = {"prompt": before, "chosen": [turn("assistant", "red")], "rejected": [turn("assistant", "blue")]}
    found = flatten(row, "f:1")
    assert (found["system"], found["chosen"], found["rejected"]) == ("S", "red", "blue")
    assert [m.content for m in found["prompt"].turns] == ["Hi", "Yes?", "The lamp"]


def test_conversations_in_memory() -> None:
    rows = [{"messages": talk(n, WORDS[n % 3])} for n in range(3)]
    assert table_of(rows).rows[0].fields["input"].turns[0].content == "Hi"
    asked = examples_of([rows[0]["messages"][:-1], {"messages": TALK}, "just a lamp"], ("input",), conversation=True)
    assert [len(row.turns) for row in asked] == [3, 3, 0]
    assert asked[2].text == "just a lamp"
