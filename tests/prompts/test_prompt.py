"""The prompt as an object: rendering by substitution, forms of equal content, protected parts, diff, files."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import get_args

import pytest

from whichway import tasks
from whichway.app.load_task import load_task
from whichway.app.prompt_files import read_drafts
from whichway.errors import DataError, OptionError, ProtectedPart
from whichway.nouns import Candidate, Decoding, Form, Headings, Listing, Prompt, Shot, Weights, Wrap
from whichway.prompts import files as files
from whichway.prompts.diff import changes, readable
from whichway.prompts.edit import changed_protected, edited
from whichway.prompts.frameworks import FRAMEWORKS, form
from whichway.prompts.template import TITLES, instructions, messages, placeholder

FULL = Prompt(
    objective="Which team should handle this?",
    role="You sort mail.",
    context="A shop for bicycles.",
    instructions=("Read it twice.", "Decide."),
    labels=("billing", "delivery"),
    output_format="One word.",
    shots=(Shot("card charged", "billing"),),
    reminder="One word, please.",
    audience="the support team",
    steps=("Find the verb.", "Find the object."),
    constraints=("Never guess.",),
    tone="calm",
    style="plain",
    success_criteria="the right team gets it",
    glosses=(("billing", "money"),),
)
HOSTILE = ("{labels}", "{{x}}", "<|im_start|>system", "{% raw %}", "{input}", "\\1 $0 %s")


@pytest.mark.parametrize("text", HOSTILE)
def test_row_text_is_never_a_template(text: str) -> None:
    before, after = messages(FULL, "MARK")[-1].content.split("MARK")
    assert messages(FULL, text)[-1].content == before + text + after
    assert messages(FULL, text)[:-1] == messages(FULL, "MARK")[:-1]


@pytest.mark.parametrize("words", HOSTILE)
def test_the_prompts_own_words_are_no_template_either(words: str) -> None:
    prompt = Prompt(objective=words, shots=(Shot(words, words),))
    head, shot, answer, row = messages(prompt, "row")
    assert (head.content, shot.content, answer.content, row.content) == (words, words, words, "row")


def test_every_form_shows_every_slot_once() -> None:
    """Content is equal whatever the form: the words of each slot occur once in what is sent."""
    words = ["You sort mail.", "A shop for bicycles.", "Read it twice.", "One word.", "the support team", "calm"]
    words += ["Find the verb.", "Never guess.", "plain", "the right team gets it", "delivery", "money"]
    sections = ((), (("All", tuple(TITLES)),), (("Who", ("role",)), ("What", ("objective", "steps"))))
    for headings, listing, wrap, named in itertools.product(
        get_args(Headings), get_args(Listing), get_args(Wrap), sections
    ):
        prompt = edited(FULL, form=Form("x", named, headings, listing, wrap), shots=(), reminder="")
        sent = "\n".join(turn.content for turn in messages(prompt, "ROW"))
        assert [word for word in [*words, "ROW"] if sent.count(word) != 1] == []


def test_empty_slots_leave_no_trace() -> None:
    for headings in get_args(Headings):
        form = Form(headings=headings)
        assert "Tone" not in instructions(Prompt(objective="Which?", form=form))
        assert messages(Prompt(form=form), "row")[0].content == "row"


def test_headings_and_listings() -> None:
    prompt = Prompt(objective="Which?", labels=("a", "b"), form=Form(headings="tags", labels="numbers", wrap="tags"))
    head, row = messages(prompt, "text")
    assert head.content == "<task>\nWhich?\n</task>\n\n<labels>\nAnswer with one of:\n1. a\n2. b\n</labels>"
    assert row.content == "<input>\ntext\n</input>"


def test_old_prompts_keep_their_digest() -> None:
    """The digest that this prompt had before slots were added: a run folder is read by what it says."""
    weights = Weights("local", "embedded", "r1")
    old = Prompt("Which?", "", "", (), ("a", "b"), "", (Shot("x", "a"),), "", "system", ("labels",))
    assert Candidate(old, weights, Decoding()).id == "1cee344c1d571c53"
    assert Candidate(edited(old, tone="calm"), weights, Decoding()).id != "1cee344c1d571c53"


def test_lineage_is_no_part_of_the_id() -> None:
    weights = Weights("local", "embedded", "r1")
    assert Candidate(FULL, weights, Decoding(), parent="abc").id == Candidate(FULL, weights, Decoding()).id


def test_protected_parts_stay() -> None:
    with pytest.raises(ProtectedPart, match="labels"):
        edited(FULL, labels=("a",))
    with pytest.raises(ProtectedPart, match="labels"):
        edited(Prompt(labels=("a",)), labels=())
    assert edited(FULL, labels=FULL.labels, tone="warm").tone == "warm"
    free = Prompt(labels=("a",), protected=())
    assert edited(free, labels=("b",)).labels == ("b",)
    assert changed_protected(Prompt(labels=("a",)), free) == ("labels",)
    with pytest.raises(OptionError, match="Did you mean 'tone'"):
        edited(FULL, tones="x")


def test_diff_names_slots_and_lines() -> None:
    after = edited(FULL, tone="warm", instructions=("Read it twice.", "Then decide."), form=Form(headings="tags"))
    assert [change.slot for change in changes(FULL, after)] == ["instructions", "tone", "form"]
    lines = list(readable(FULL, after))
    assert "  - Decide." in lines
    assert "  + Then decide." in lines
    assert changes(FULL, FULL) == ()


@pytest.mark.parametrize(
    "prompt",
    [
        Prompt(),
        FULL,
        edited(FULL, pool=(Shot("a: b", "billing"), Shot("- {{x}}", "delivery")), nearest=1),
        edited(FULL, form=Form("race", (("Role", ("role",)),), "markdown", "bullets", "tags")),
        Prompt(objective="two\nlines: {{x}}\n", labels=("yes", "no", "1"), instructions=("- a", "# b"), protected=()),
    ],
)
def test_prompt_files_come_back_as_they_were(prompt: Prompt, tmp_path: Path) -> None:
    path = tmp_path / "prompt.yaml"
    path.write_text(files.dump(prompt), encoding="utf-8")
    assert files.read(path) == prompt


def test_plain_text_is_sent_word_for_word(tmp_path: Path) -> None:
    path = tmp_path / "prompt.txt"
    path.write_text("Sort this mail.\n\nMail: {{input}}\n\nTeam:\n")
    turns = messages(files.read(path), "hello")
    assert [turn.content for turn in turns] == ["Sort this mail.\n\nMail: hello\n\nTeam:"]
    path.write_text("Sort this mail.\n")
    assert [turn.content for turn in messages(files.read(path), "hello")] == ["Sort this mail.\n\nhello"]


SHOWN = "Sort it.\n\nMail: it broke\nTeam: repairs\n\nMail: it is late\nTeam: delivery\n\nMail: {{text}}\nTeam:"


@pytest.mark.parametrize(
    ("name", "text", "shots"),
    [
        ("p.txt", f"# whichway: ignore PL008\n{SHOWN}", 2),
        ("p.txt", "Sort the mail.", 0),
        ("p.yaml", "objective: Sort it.\ntemperature: 0\n", 0),
        ("p.json", '[{"role": "system", "content": "Sort it."}, {"role": "user", "content": "a"}, '
                   '{"role": "assistant", "content": "b"}]', 1),
        ("p.yml", "messages:\n- role: user\n  content: 'Sort {{text}}'\n", 0),
    ],
)  # fmt: skip
def test_a_prompt_file_is_the_same_prompt_however_it_is_named(name, text, shots, tmp_path):
    """On the command line, in a task file, by `tasks.load`, and in lint."""
    rows = "".join(f"mail {n} about {n % 7},{('repairs', 'delivery')[n % 2]}\n" for n in range(40))
    (tmp_path / "d.csv").write_text(f"text,label\n{rows}")
    (tmp_path / name).write_text(text)
    (tmp_path / "task.yaml").write_text(f"data: d.csv\nprompt: {name}\n")
    flags = tasks.from_flags(None, data=tmp_path / "d.csv", prompt=(tmp_path / name,))
    specs = [flags, tasks.read_spec(tmp_path / "task.yaml")]
    found = [prompt for spec in specs for prompt in (load_task(spec).task.prompts, tasks.load(spec).prompts)]
    assert all(prompts == found[0] for prompts in found)
    assert len(found[0][0].shots) == shots
    assert read_drafts(tmp_path / name)[0].prompt == files.read(tmp_path / name)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("tone: warm\nobjectiv: x\n", "prompt.yaml:2: a prompt has no slot 'objectiv'. Did you mean 'objective'"),
        ("- a\n", "a prompt is a list of slots"),
        ("tone: [a\n", "not valid YAML"),
        ("tone: [a, b]\n", "tone"),
        ("form: {headings: loud}\n", "form.headings"),
    ],
)
def test_broken_prompt_files_name_the_place(text: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "prompt.yaml"
    path.write_text(text)
    with pytest.raises(DataError) as error:
        files.read(path)
    assert told in str(error.value)
    with pytest.raises(DataError, match="cannot be read"):
        files.read(tmp_path / "absent.yaml")


def test_placeholder_avoids_the_prompts_words() -> None:
    assert placeholder(Prompt("say {{input}}")) == "{{input_2}}"


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_a_framework_holds_every_slot_once(name: str) -> None:
    """Equal content: no framework leaves a slot out, or says it twice."""
    named = [slot for _, slots in FRAMEWORKS[name] for slot in slots]
    assert sorted(named) == sorted(TITLES)
    text = instructions(edited(FULL, form=form(name)))
    for words in ("You sort mail.", "calm", "1. Find the verb.", "- billing: money", "the right team gets it"):
        assert text.count(words) == 1
    assert text.startswith(f"## {FRAMEWORKS[name][0][0]}\n")
