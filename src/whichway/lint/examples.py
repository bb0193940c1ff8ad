"""Worked examples: how many, of what, in which order, and whether they agree with the rules."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import combinations

from whichway.lint.edits import even, instructing, interleaved, keeping_shots, setting, short
from whichway.lint.registry import Hit, rule
from whichway.lint.scene import Piece, Scene
from whichway.nouns import Example, Shot

FEW, SOME, MANY = 3, 8, 32  # fewer than few; more than some; from here on "many-shot", another regime
SKEWED = 0.6  # share of one answer


def shot_piece(scene: Scene, index: int, part: str = "shot_answer") -> Piece | None:
    """The piece of one worked example."""
    return next((p for p in scene.pieces if p.part == part and p.index == index), None)


def _at(scene: Scene, index: int, message: str, part: str = "shot_answer", **more: object) -> Hit:
    piece = shot_piece(scene, index, part)
    return Hit(message, piece, 0, len(piece.text) if piece else 0, **more)  # type: ignore[arg-type]


@rule(
    "PL023",
    "Examples without an instruction",
    "S",
    "warn",
    why="From examples alone a model has to guess the rule; the same examples with a sentence say it.",
    source="Google Cloud, Vertex AI: include few-shot examples (together with instructions)",
    suggestion="Say in one sentence what the examples show.",
)
def no_instruction(scene: Scene) -> Iterator[Hit]:
    """Worked examples, and no other word."""
    if scene.prompt.shots and not scene.instruction_text.strip():
        ask = scene.data.practice.ask if scene.data else ""
        yield _at(
            scene,
            0,
            "examples and no instruction",
            "shot_text",
            edit=setting("say what is asked", objective=ask) if ask else None,
        )


@rule(
    "PL024",
    "Unusual number of examples",
    "S",
    "info",
    why="Vendors advise three to five; gains flatten around eight. More is another regime (many-shot) that wants "
    "evidence.",
    source="Google and Anthropic prompting guides (3-5); Min et al. 2022, arXiv 2202.12837",
    suggestion="Use 3 to 8, or measure (prompt_shots tries counts).",
)
def shot_count(scene: Scene) -> Iterator[Hit]:
    """One or two examples, or more than eight and not many."""
    count = len(scene.prompt.shots)
    if 0 < count < FEW or SOME < count < MANY:
        yield _at(scene, 0, f"{count} example{'s' if count > 1 else ''}", "shot_text")


@rule(
    "PL025",
    "Skewed examples",
    "S",
    "warn",
    why="Models lean towards the answer that is commonest among the examples and towards the last one shown.",
    source="Zhao et al. 2021, arXiv 2102.09690 (majority label and recency bias); Google (mix up the classes)",
    suggestion="Balance the answers and let them take turns.",
)
def skewed(scene: Scene) -> Iterator[Hit]:
    """One answer dominates, or the last two examples have the same one."""
    answers = [shot.answer for shot in scene.prompt.shots]
    if len(answers) < 4 or len(set(answers)) > len(answers) * 0.8 or len(scene.labels or set(answers)) < 2:
        return
    answer, count = Counter(answers).most_common(1)[0]
    if count / len(answers) > SKEWED:
        edit = keeping_shots("balance the examples", even) if len(set(answers)) > 1 else None
        yield _at(
            scene, answers.index(answer), f"{count} of {len(answers)} examples answer “{short(answer, 30)}”", edit=edit
        )
    elif answers[-1] == answers[-2]:
        edit = keeping_shots("let the answers take turns", interleaved)
        yield _at(scene, len(answers) - 1, f"the last two examples both answer “{short(answers[-1], 30)}”", edit=edit)


def shape(answer: str) -> str:
    """The form of a short answer: JSON, its prefix, its last character, the case of its first letter."""
    text = answer.strip()
    if text.startswith(("{", "[")):
        return "JSON"
    prefix = re.match(r"[A-Z][\w ]{0,20}:(?=\s)", text)
    end = text[-1:] if text[-1:] in ".!;," else ""
    return f"“{prefix.group() if prefix else ''}...{end}”"


@rule(
    "PL026",
    "Examples differ in format",
    "S",
    "error",
    why="The model copies the format of the examples; when they differ, so do the answers, and format alone moves "
    "accuracy "
    "by up to 76 points.",
    source="Sclar et al. 2023, arXiv 2310.11324; Google (consistent formatting across examples)",
    suggestion="Write every answer in the same form.",
)
def inconsistent(scene: Scene) -> Iterator[Hit]:
    """Short answers of several shapes, or one label in two spellings."""
    answers = [shot.answer.strip() for shot in scene.prompt.shots]
    structured = sum(a.startswith(("{", "[")) for a in answers)
    if len(answers) < 2 or (not 0 < structured < len(answers) and any(len(a.split()) > 8 for a in answers)):
        return
    spelled: dict[str, set[str]] = {}
    for answer in answers:
        spelled.setdefault(answer.casefold(), set()).add(answer)
    twice = next((variants for variants in spelled.values() if len(variants) > 1), None)
    shapes = Counter(map(shape, answers))
    if twice:
        odd = min(twice, key=answers.count)
        yield _at(scene, answers.index(odd), f"one answer in {len(twice)} spellings: {', '.join(sorted(twice))}")
    elif len(shapes) > 1:
        rare = min(shapes, key=lambda s: shapes[s])
        odd = next(a for a in answers if shape(a) == rare)
        yield _at(
            scene,
            answers.index(odd),
            f"this answer has another form ({rare}) than most ({shapes.most_common(1)[0][0]})",
        )


def _words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"[^\W_]+", text.casefold()))


def _alikeness(texts: Sequence[str]) -> float:
    """Mean Jaccard similarity of word sets over all pairs."""
    sets = [_words(text) for text in texts]
    pairs = [len(a & b) / max(1, len(a | b)) for a, b in combinations(sets, 2)]
    return sum(pairs) / max(1, len(pairs))


@rule(
    "PL027",
    "Examples all alike",
    "D",
    "info",
    why="Examples from one corner of the data teach that corner; diverse ones cover more.",
    source="Schulhoff et al. 2024, arXiv 2406.06608 (The Prompt Report); Anthropic (diverse examples)",
    suggestion="Take examples that differ in words and in answer (prompt_shots: diverse).",
)
def alike(scene: Scene) -> Iterator[Hit]:
    """The examples are far more alike than rows are, or all have one label of many."""
    shots = scene.prompt.shots
    if scene.data is None or len(shots) < 3:
        return
    if len(scene.labels) > 1 and len({shot.answer for shot in shots}) == 1:
        yield _at(scene, 0, f"all {len(shots)} examples have the label “{shots[0].answer}”")
        return
    usual = _alikeness([e.text for e in scene.data.practice.train[:60]])
    here = _alikeness([shot.text for shot in shots])
    if here > max(3 * usual, 0.3):
        yield _at(scene, 0, f"the examples share {here:.0%} of their words, rows share {usual:.0%}", "shot_text")


@rule(
    "PL028",
    "A wrong example",
    "D",
    "warn",
    why="An example whose answer the metric calls wrong teaches the mistake.",
    source="Schulhoff et al. 2024, arXiv 2406.06608 (label quality of exemplars)",
    suggestion="Give it the answer that the data have, or another example.",
)
def wrong_example(scene: Scene) -> Iterator[Hit]:
    """An example is a row of the data with another answer."""
    if scene.data is None or not scene.prompt.shots:
        return
    gold: dict[str, Example] = {" ".join(e.text.split()): e for e in scene.data.rows}
    for index, shot in enumerate(scene.prompt.shots):
        row = gold.get(" ".join(shot.text.split()))
        if row is not None and (scene.data.metric(row, shot.answer).value or 0.0) < 1.0:
            edit = keeping_shots("give it the data's answer", partial(_answered, index, row.target))
            yield _at(
                scene, index, f"answers “{short(shot.answer, 30)}”; the data say “{short(row.target, 30)}”", edit=edit
            )


def _answered(index: int, answer: str, shots: tuple[Shot, ...]) -> tuple[Shot, ...]:
    return tuple(Shot(s.text, answer) if i == index else s for i, s in enumerate(shots))


@rule(
    "PL029",
    "Examples show what the rules do not say",
    "S",
    "info",
    why="Behaviour that only the examples show is followed less surely than behaviour that is also said.",
    source="OpenAI, GPT-4.1 prompting guide (important behaviour in examples should be cited in the rules)",
    suggestion="Say it as a rule.",
)
def unsaid(scene: Scene) -> Iterator[Hit]:
    """All answers share a trait, or one is no listed label, and the rules do not say so."""
    answers = [shot.answer.strip() for shot in scene.prompt.shots]
    if len(answers) < 2 or not scene.instruction_text.strip():
        return
    if all(_is_json(a) for a in answers) and not re.search(r"\bjson\b", scene.instruction_text, re.I):
        yield _at(
            scene,
            0,
            "all examples answer in JSON and the rules do not say so",
            edit=instructing("Answer with a JSON object only."),
        )
    prefixes = {m.group() if (m := re.match(r"[A-Z][\w ]{0,20}:(?=\s)", a)) else "" for a in answers}
    if (
        len(prefixes) == 1
        and (prefix := prefixes.pop())
        and prefix.rstrip(":").casefold() not in scene.instruction_text.casefold()
    ):
        yield _at(scene, 0, f"all examples begin with “{prefix}” and the rules do not say so")
    for index, answer in enumerate(answers):
        if scene.prompt.labels and answer.casefold() not in {label.casefold() for label in scene.prompt.labels}:
            yield _at(scene, index, f"answers “{short(answer, 30)}”, which is not among the listed labels")
            return


def _is_json(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict | list)
    except ValueError:
        return False


_SAMPLE = re.compile(
    r"\b(?:such as|e\.g\.,?|for example,?|like|for instance,?|say(?:ing)?:?)\s*[\"“‘'][^\"”’'\n]{6,}[\"”’']", re.I
)
_VARY = re.compile(
    r"\b(?:vary|varied|variation|do not (?:copy|reuse|repeat)|don['’]t (?:copy|reuse|repeat)|in your own words|"
    r"avoid repeat\w*)\b",
    re.I,
)


@rule(
    "PL030",
    "Sample phrases without “vary them”",
    "S",
    "info",
    why="A model that is shown a phrase uses it, and then in every answer.",
    source="OpenAI, GPT-4.1 prompting guide (sample phrases are used verbatim unless told to vary)",
    suggestion="Add: vary the wording; do not copy the samples.",
)
def verbatim(scene: Scene) -> Iterator[Hit]:
    """A quoted sample phrase on a task that writes text."""
    if scene.closed or _VARY.search(scene.instruction_text):
        return
    for piece, match in scene.search(_SAMPLE):
        edit = instructing("Vary the wording; do not copy the sample phrases.")
        yield Hit("a sample phrase that will come back word for word", piece, *match.span(), edit)
