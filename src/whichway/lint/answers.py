"""Answers: the format asked for, the labels listed, and whether the metric can read what comes back."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from whichway.lint.edits import instructing, setting, short, swap
from whichway.lint.registry import Hit, rule
from whichway.lint.scene import Piece, Scene
from whichway.nouns import Example

_JSON = re.compile(r"\bjson\b", re.I)
_NUMBER = re.compile(r"\b(?:number|numeral|integer|digits?|figure|decimal|numeric)\b|####", re.I)
_FORMAT = re.compile(
    r"\b(?:json|xml|yaml|csv|format|one of|only|one word|single word|letter|yes or no|true or false|"
    r"(?:answer|respond|reply|output|return)(?: \w+){0,2} (?:with|as|in|only|the))\b|[:]\s*<",
    re.I,
)
_NEEDS = {
    "json_fields": (_JSON, "a JSON object"),
    "numeric": (_NUMBER, "a number"),
    "exact_match": (_FORMAT, "the bare answer"),
}


@rule(
    "PL002",
    "No output format though the answer is parsed",
    "S,D",
    "error",
    why="An answer in an unexpected shape is counted wrong though it is right: the same model has .20 read strictly "
    "and "
    ".78 read flexibly on GSM8K.",
    source="OpenAI, GPT-4.1 prompting guide (output format); Eainde CLR-005/OUT-001; lm-evaluation-harness gsm8k",
    suggestion="Say the format, in a sentence of its own.",
)
def no_format(scene: Scene) -> Iterator[Hit]:
    """The metric reads an answer out of the text, and nothing says how to write it."""
    if scene.data is None or scene.labels or scene.data.metric.name not in _NEEDS:
        return
    form, what = _NEEDS[scene.data.metric.name]
    if (scene.prompt.output_format and form is _FORMAT) or form.search(scene.instruction_text):
        return
    wanted = {"a JSON object": "Answer with a JSON object only.", "a number": "Answer with a number only."}
    edit = setting(
        f"ask for {what}", output_format=wanted.get(what, "Answer with the answer only, without a sentence.")
    )
    yield Hit(
        f"the metric {scene.data.metric.name} reads {what}, and the prompt does not ask for it",
        _first(scene),
        0,
        60,
        edit,
    )


_WRAPPED = (
    (re.compile(r"\bjson\b", re.I), '{{"answer": {quoted}}}'),
    (re.compile(r"<answer>", re.I), "<answer>{plain}</answer>"),
    (re.compile(r"\\boxed"), "\\boxed{{{plain}}}"),
    (
        re.compile(r"\b(?:begin|start|end|finish)\w*\b[^.\n]{0,30}[\"“']?(?:final )?answer:", re.I),
        "The final answer: {plain}",
    ),
)


@rule(
    "PL003",
    "The metric cannot read the format asked for",
    "D",
    "error",
    why="When the extractor never matches what the prompt asks for, every answer is unparsed or wrong, whatever it "
    "says.",
    source="lm-evaluation-harness #2034; PromptWizard (answer_format and extract_final_answer must agree)",
    suggestion="Ask for what the metric reads, or choose the metric that reads what is asked for.",
)
def unreadable(scene: Scene) -> Iterator[Hit]:
    """A right answer in the shape that is asked for, or shown, is not right for the metric."""
    if scene.data is None:
        return
    for index, shot in enumerate(scene.prompt.shots):
        if scene.data.metric(Example({"text": shot.text}, shot.answer), shot.answer).value is None:
            piece = next(p for p in scene.pieces if p.part == "shot_answer" and p.index == index)
            yield Hit(f"the metric {scene.data.metric.name} reads no answer in this example", piece, 0, len(piece.text))
            return
    target = next((e.target for e in scene.data.rows), "")
    for form, shape in _WRAPPED:
        match = next(scene.search(form), None)
        if match is None or (target.startswith("{") and "json" in form.pattern):
            continue
        answer = shape.format(quoted=json.dumps(target), plain=target)
        if (scene.labels and scene.data.metric.normal(answer) != scene.data.metric.normal(target)) or (
            not scene.labels and not scene.data.metric(Example({}, target), answer).value
        ):
            yield Hit(
                f"asks for “{short(answer)}”, which the metric {scene.data.metric.name} does not read as “{target}”",
                match[0],
                *match[1].span(),
            )


def mentions(text: str, label: str) -> bool:
    """Whether a text holds a label as words of its own, whatever its case."""
    return re.search(rf"(?<!\w){re.escape(label)}(?!\w)", text, re.I) is not None


@rule(
    "PL004",
    "Labels not listed",
    "D",
    "error",
    why="A model that does not know the labels spreads its probability over other words for the same thing; listing "
    "them "
    "with one example takes most of that away.",
    source="Wiegreffe et al. 2023, arXiv 2305.14596; DSPy Literal",
    suggestion="List every label, spelled as in the data.",
)
def labels_missing(scene: Scene) -> Iterator[Hit]:
    """A label of the data that the prompt does not name."""
    missing = [label for label in scene.labels if not mentions(scene.whole, label)]
    if missing:
        shown = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
        edit = setting("list the labels", labels=scene.labels)
        yield Hit(f"{len(missing)} of {len(scene.labels)} labels are not named: {shown}", _first(scene), 0, 60, edit)


_LIST = re.compile(
    r"(?:one of|labels?|categor(?:y|ies)|class(?:es)?|teams?|options?|choices|topics?|"
    r"intents?)\b[^:\n]{0,40}:\s*([^\n]+(?:\n\s*[-*•]\s*[^\n]+)*|(?:\n?\s*[-*•]\s*[^\n]+)+)",
    re.I,
)
_ITEM = re.compile(r"[^,;|\n]+")
_TRIM = " \t\"'`“”‘’.-*•()[]"


def listed(scene: Scene) -> Iterator[tuple[Piece, int, int, str]]:
    """Labels that the prompt lists in its text: piece, span, label."""
    for piece, match in scene.search(_LIST):
        for item in _ITEM.finditer(re.split(r"\.(?=\s)", match.group(1))[0]):
            words = re.sub(r"^(?:and|or)\s+", "", item.group().strip(_TRIM))
            words = re.split(r"\s[-–:(]|\s*:\s", words)[0].strip(_TRIM)
            if words and len(words.split()) <= 6:
                at = piece.text.find(words, match.start(1) + item.start())
                yield piece, at, at + len(words), words


def loose(label: str) -> str:
    """A label without case, plural, underscores and doubled spaces."""
    words = re.sub(r"[_\-\s]+", " ", label.casefold()).strip().split()
    return " ".join(word[:-1] if word.endswith("s") and len(word) > 3 else word for word in words)


@rule(
    "PL005",
    "A label that the data do not have",
    "D",
    "error",
    why="An answer spelled as the prompt lists it is wrong for the data; other spellings compete for probability.",
    source="Holtzman et al. 2021, arXiv 2104.08315 (surface form competition)",
    suggestion="Spell the labels as the data do, and list no others.",
)
def foreign_label(scene: Scene) -> Iterator[Hit]:
    """A listed label that is spelled otherwise in the data, or absent."""
    if not scene.labels:
        return
    exact, near = set(scene.labels), {loose(label): label for label in scene.labels}
    slot = [label for label in scene.prompt.labels if label not in exact]
    for label in slot:
        yield Hit(
            _foreign(label, near), _first(scene), 0, 60, setting("list the labels of the data", labels=scene.labels)
        )
    listed_labels = list(listed(scene))
    if sum(loose(label) in near for *_, label in listed_labels) < min(2, len(exact)):
        return
    for piece, start, end, label in listed_labels:
        if label not in exact:
            right = near.get(loose(label))
            yield Hit(_foreign(label, near), piece, start, end, swap(label, right) if right else None)


def _foreign(label: str, near: dict[str, str]) -> str:
    right = near.get(loose(label))
    return f"“{label}” is “{right}” in the data" if right else f"“{label}” is no label of the data"


_HOLE = re.compile(r"<[^<>\n]{1,60}>|\{\{[^{}\n]{1,60}\}\}|\.\.\.|…")


def json_blocks(text: str) -> Iterator[tuple[int, int]]:
    """Spans that look like JSON objects: balanced braces (or open to the end) around a quoted key."""
    at = 0
    while (at := text.find("{", at)) >= 0:
        if (
            text.startswith("{{", at)
            or text.startswith("{%", at)
            or not re.match(r"\{\s*[\"']?\w+[\"']?\s*:", text[at:])
        ):
            at += 2 if text.startswith("{{", at) else 1
            continue
        depth = 0
        for end in range(at, len(text)):
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            if depth == 0:
                break
        yield at, end + 1
        at = end + 1


def parsed(block: str) -> object | None:
    """A JSON block with its holes (`<team>`, `...`) filled; None when it is invalid even so."""
    for candidate in (
        block,
        _HOLE.sub("0", block),
        _HOLE.sub('"0"', block),
        re.sub(r",\s*0\s*(?=[\]}])", "", _HOLE.sub("0", block)),
    ):
        try:
            value: object = json.loads(candidate)
            return value
        except ValueError:
            continue
    return None


@rule(
    "PL017",
    "Invalid JSON in the prompt",
    "S",
    "error",
    why="A model copies the example it is shown: a broken one, or one with other keys, comes back broken.",
    source="Eainde prompt-lint OUT-*",
    suggestion="Make the example valid, with the keys that the data have.",
)
def bad_json(scene: Scene) -> Iterator[Hit]:
    """A JSON example that does not parse, or has other keys than the gold answers."""
    keys = _gold_keys(scene)
    for piece in scene.pieces:
        for start, end in json_blocks(piece.text):
            value = parsed(piece.text[start:end])
            if value is None:
                yield Hit("this JSON is not valid", piece, start, end)
            elif keys and isinstance(value, dict) and "properties" not in value and not set(value) & keys:
                yield Hit(
                    f"its keys are {', '.join(value)}; the answers have {', '.join(sorted(keys))}", piece, start, end
                )


def _gold_keys(scene: Scene) -> set[str]:
    if scene.data is None or scene.data.metric.name != "json_fields":
        return set()
    keys: set[str] = set()
    for example in scene.data.rows[:200]:
        try:
            keys |= set(json.loads(example.target))
        except (ValueError, TypeError):
            continue
    return keys


@rule(
    "PL018",
    "JSON mode without the word JSON",
    "P",
    "error",
    why="The API refuses `response_format: json_object` unless the messages say JSON.",
    source="OpenAI, structured outputs guide; nac7 prompt-lint",
    suggestion='Add "Answer with a JSON object only."',
)
def json_mode(scene: Scene) -> Iterator[Hit]:
    """JSON mode is set and no message says so."""
    form = scene.draft.settings.get("response_format")
    kind = form.get("type") if isinstance(form, dict) else form
    if kind == "json_object" and not _JSON.search(scene.whole):
        yield Hit(
            "response_format is json_object and no message says JSON",
            _first(scene),
            0,
            60,
            instructing("Answer with a JSON object only."),
        )


def _first(scene: Scene) -> Piece | None:
    return scene.rules[0] if scene.rules else None
