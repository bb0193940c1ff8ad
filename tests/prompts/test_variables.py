"""Variables of prompts: filled in place, refused by name, never read in a row's own text."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from whichway.app.prompt_files import prompts_of
from whichway.errors import DataError
from whichway.lint.drafts import of_messages, of_text
from whichway.nouns import (
    Candidate,
    Decoding,
    Example,
    Message,
    Prompt,
    Shot,
    Weights,
    digest,
    row_text,
    transcript,
)
from whichway.prompts import files
from whichway.prompts.shots import shot
from whichway.prompts.template import messages, outline, placeholders
from whichway.prompts.variables import declared, fill, names, settled
from whichway.search.guards import faults
from whichway.tasks import from_flags, load

ROW = Example({"company": "Acme", "message": "Lamp is {{company}} and {{ message }}"}, "billing")
FIELDS = ("company", "message")


def said(prompt: Prompt, row: Example | Shot | str = ROW) -> list[tuple[str, str]]:
    return [(turn.role, turn.content) for turn in messages(prompt, row)]


@pytest.mark.parametrize(
    "text",
    [
        "You work for {{company}}. Who reads {{ message }}? Say one word.",
        "Hello.\n\n{{company}}: {{message}}\n\nOne word.",
        "{{message}}",
        "Twice: {{message}} and {{message}}",
        "a\n\n{{company}}\n\nb\n\n{{-message-}}\n\nc",
        "Mail:\n{{message}}\nTeam:",
    ],
)
def test_a_text_renders_as_it_is_written(text: str) -> None:
    prompt = settled(of_text(text).prompt, FIELDS, "team")
    wanted = text
    for form in ("{{message}}", "{{ message }}", "{{-message-}}"):
        wanted = wanted.replace(form, "\0")
    wanted = wanted.replace("{{company}}", "Acme").replace("\0", ROW.input["message"])
    assert said(prompt) == [("user", wanted)]


def test_a_prompt_that_only_marks_the_row_keeps_its_digest() -> None:
    for text, field in (("Which team?\n\n{{text}}\n\nOne word.", "text"), ("Which team?\n\n{{input}}", "body")):
        old = Prompt(
            objective="Which team?", reminder="One word." if "One" in text else "", layout="user", form=files.AS_WRITTEN
        )
        new = settled(of_text(text).prompt, (field,), "team")
        ids = [Candidate(p, Weights("fake", "x"), Decoding()).id for p in (old, new)]
        assert ids[0] == ids[1]


def test_digests_of_prompts_without_variables_do_not_move() -> None:
    prompt = Prompt("Sort.", labels=("a", "b"), shots=(Shot("x", "a"),))
    assert digest(prompt.content) == "5b9be323e8843cd3"
    assert Example({"a": "x"}, "y").id == "8240a80ff44358ff"
    several = replace(prompt, shots=(shot(Example({"t": "x", "u": "y"}, "a")),))
    assert "input" not in several.content["shots"][0]
    assert several.shots[0].input == (("t", "x"), ("u", "y"))


def test_chat_prompts_keep_every_turn() -> None:
    turns = [
        {"role": "system", "content": "You are {{company}}."},
        {"role": "assistant", "content": "Hello!"},
        {"role": "user", "content": "First read this: {{company}}"},
        {"role": "user", "content": "Now: {{message}}?"},
    ]
    prompt = settled(of_messages(json.dumps(turns)).prompt, FIELDS, "team")
    wanted = [
        (t["role"], t["content"].replace("{{company}}", "Acme").replace("{{message}}", ROW.input["message"]))
        for t in turns
    ]
    assert said(prompt) == wanted
    example = replace(prompt, shots=(Shot("", "delivery", (("company", "Bolt"), ("message", "where?"))),))
    assert said(example)[1:5] == [
        ("assistant", "Hello!"),
        ("user", "First read this: Bolt"),
        ("user", "Now: where??"),
        ("assistant", "delivery"),
    ]
    closing = json.dumps([*turns, {"role": "assistant", "content": "The team is"}])
    with pytest.raises(DataError, match="beginning of the answer"):
        of_messages(closing)


def test_worked_examples_are_asked_as_the_row_is() -> None:
    prompt = settled(of_text("For {{company}}: {{message}}").prompt, FIELDS, "team")
    shown = replace(prompt, shots=(shot(Example({"company": "Bolt", "message": "{{company}}"}, "delivery")),))
    assert said(shown)[:2] == [("user", "For Bolt: {{company}}"), ("assistant", "delivery")]
    assert placeholders(shown)["company"] == "{{company_2}}"
    assert outline(shown)[-1].content == "For {{company_2}}: {{message}}"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{% if message %}x{% endif %} {{message}}", "template logic"),
        ("one\n{{ message | upper }}", "prompt:2: .*filters are not run"),
        ("{{ message.strip() }}", "expressions are"),
        ("{{ env.SECRET }}", "environment"),
        ("{{ }}", "names no variable"),
        ("{{message}} {% raw %}{{message}}{% endraw %}", "both as a variable"),
    ],
)
def test_logic_is_refused_by_name(text: str, told: str) -> None:
    with pytest.raises(DataError, match=told):
        of_text(text)
    with pytest.raises(DataError, match=told):
        files.of_text(text)


def test_unknown_names_and_the_answer_are_refused() -> None:
    with pytest.raises(DataError, match=r"no field 'mesage'.*Did you mean 'message'"):
        settled(of_text("Read {{mesage}}").prompt, FIELDS, "team")
    with pytest.raises(DataError, match="wanted answer"):
        settled(of_text("Read {{message}}, it is {{team}}").prompt, FIELDS, "team")


def test_fences_keep_braces_and_comments_go() -> None:
    prompt = of_text("Write {% raw %}{{ name }}{% endraw %} for {{message}}.{# a note #}").prompt
    assert said(settled(prompt, ("message",), ""), Example({"message": "M {{ name }}"}, ""))[0][1] == (
        "Write {{ name }} for M {{ name }}."
    )
    assert names("{{first name}} {{a.b}} {%raw%}{{c}}{%endraw%}") == ("first name", "a.b")
    assert fill("{{ first  name }}{{b}}", {"first name": "{{b}}", "b": "2"}) == "{{b}}2"


def test_slots_name_variables_and_the_rest_of_the_row_follows() -> None:
    prompt = files.load("objective: Which team of {{company}} reads this?\n")
    assert said(settled(prompt, FIELDS, "team")) == [
        ("system", "Which team of Acme reads this?"),
        ("user", ROW.input["message"]),
    ]
    whole = files.load("objective: '{{company}} got {{message}}. Which team?'\n")
    assert said(settled(whole, FIELDS, "team")) == [("user", f"Acme got {ROW.input['message']}. Which team?")]
    back = files.load(files.dump(settled(prompt, FIELDS, "team")))
    assert back == settled(prompt, FIELDS, "team")
    braces = Prompt("Explain {{ jinja }}.")
    assert files.load(files.dump(braces)) == braces


def test_slots_are_read_as_yaml_1_2() -> None:
    prompt = files.load("objective: Money?\nlabels: [yes, no, 010, 12:10, on, 2024-01-02]\nnearest: 3\n")
    assert prompt.labels == ("yes", "no", "010", "12:10", "on", "2024-01-02")
    assert prompt.nearest == 3


def test_a_search_may_not_lose_a_variable() -> None:
    start = declared(Prompt("Which team of {{company}} reads it? Be brief."))
    assert faults(replace(start, objective="Be brief."), start) == ("the variable {{company}} is gone",)
    assert faults(replace(start, objective="Be brief, {{company}}."), start) == ()


def rows(folder: Path, header: str = "title,body,team") -> Path:
    path = folder / "mail.csv"
    lines = [f"T{n} {{{{team}}}},lamp {n} asks {word},{word}" for n in range(20) for word in ("red", "green", "blue")]
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return path


def test_columns_that_a_prompt_names_are_the_input(tmp_path: Path) -> None:
    data, file = rows(tmp_path), tmp_path / "p.txt"
    file.write_text("Title: {{title}}\nBody: {{body}}\nTeam?")
    for prompt in ((file,), prompts_of(file)):  # as Python reads it, and as the command line does
        task = load(from_flags(data=data, prompt=prompt, target="team"))
        assert tuple(task.train[0].input) == ("title", "body")
        first = task.train[0]
        text = f"Title: {first.input['title']}\nBody: {first.input['body']}\nTeam?"
        assert [m.content for m in messages(task.prompts[0], first)] == [text]
        assert "{{team}}" in text  # a row's own braces are text
    file.write_text("Title: {{titel}}")
    with pytest.raises(DataError, match="Did you mean 'title'"):
        load(from_flags(data=data, prompt=(file,), target="team", input=("title",)))
    file.write_text("Body: {{body}} for {{team}}")
    with pytest.raises(DataError, match="wanted answer"):
        load(from_flags(data=data, prompt=(file,)))


def test_bare_rows_fill_the_only_variable() -> None:
    prompt = of_text("Mail: {{message}}!").prompt
    assert said(prompt, "text") == [("user", "Mail: text!")]
    assert said(prompt, Shot("text", "a")) == [("user", "Mail: text!")]


def test_conversations_fill_a_variable_with_their_last_message() -> None:
    talk = (Message("user", "Hi"), Message("assistant", "Yes?"), Message("user", "lamp"))
    row = Example({"input": "user: Hi\nassistant: Yes?\nuser: lamp"}, "", turns=talk)
    assert said(of_text("Team for: {{input}}").prompt, row) == [
        ("user", "Hi"),
        ("assistant", "Yes?"),
        ("user", "Team for: lamp"),
    ]


def test_models_that_read_words_see_the_whole_conversation() -> None:
    talk = (Message("system", "S"), Message("user", "Hi"), Message("assistant", "Yes?"), Message("user", "lamp"))
    row = Example({"input": transcript(talk[1:])}, "", turns=talk)
    assert row_text(messages(Prompt(), row)) == "system: S\nuser: Hi\nassistant: Yes?\nuser: lamp"
    assert row_text(messages(Prompt("Sort."), row)) == "user: Hi\nassistant: Yes?\nuser: lamp"
    assert row_text(messages(Prompt("Sort.", shots=(Shot("x", "a"),)), "lamp")) == "lamp"
