"""Provider: what the model that reads the prompt can take: templates, control tokens, limits, lengths."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from whichway.lint.edits import each_text, tidy
from whichway.lint.registry import Edit, Hit, rule
from whichway.lint.scene import Piece, Scene

_CONTROL = re.compile(
    r"<\|[a-z_]{2,30}\|>|\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>|<｜[^｜\n]{2,30}｜>|<\|(?:start|end)_header_id\|>|"
    r"(?m:^### (?:Instruction|Response):)"
)
_ANSWER = re.compile(r"(?:^|\n)\s*(?:answer|output|response|label|result|a)\s*:\s*$", re.I)


@rule(
    "PL036",
    "Control tokens of another model",
    "P",
    "error",
    why="Control tokens of another family are plain text to this model: it reads noise where a turn should begin.",
    source="nac7 prompt-lint; transformers, chat templates",
    suggestion="Take them out: messages are rendered with the model's own template.",
)
def foreign_control(scene: Scene) -> Iterator[Hit]:
    """Control tokens in the words of the prompt that are not the model's own."""
    own = scene.provider.specials if scene.provider else frozenset()
    for piece, match in scene.search(_CONTROL, scene.pieces):
        if match.group() not in own:
            yield Hit(f"{match.group()} is a control token of another model family", piece, *match.span(), _cleaned())


def _cleaned() -> Edit:
    return Edit("take control tokens out", lambda p: each_text(p, lambda t: tidy(_CONTROL.sub("", t))))


@rule(
    "PL037",
    "Chat template, BOS or ending do not fit",
    "P",
    "error",
    why="A template applied twice or not at all, a doubled BOS or a trailing space changes what the model reads: "
    "one suite "
    "moved from .264 to .852 with the template.",
    source="lm-evaluation-harness #1841, #2676; lang-uk #5; transformers, chat templates",
    suggestion="Leave rendering to the model's template; end the prompt with the input.",
)
def rendering(scene: Scene) -> Iterator[Hit]:
    """For a local model: its own control tokens in the words, BOS, system messages, how the prompt ends."""
    model = scene.provider
    if model is None or not model.local:
        return
    for piece, match in scene.search(_CONTROL, scene.pieces):
        if match.group() in model.specials and match.group() != model.bos:
            yield Hit(
                f"{match.group()} is written out, and the template writes it again", piece, *match.span(), _cleaned()
            )
            break
    for piece in scene.pieces:
        if model.bos and piece.text.lstrip().startswith(model.bos):
            edit = Edit("take BOS out", lambda p, b=model.bos: each_text(p, lambda t: tidy(t.replace(b, ""))))  # type: ignore[misc]
            yield Hit(f"{model.bos} is written out, and added again: a double BOS", piece, 0, len(model.bos), edit)
            break
    if model.chat and model.system is False and any(turn.role == "system" for turn in scene.draft.turns):
        yield Hit(
            "the model's template takes no system message", scene.rules[0] if scene.rules else None, 0, 60, _user()
        )
    yield from _ending(scene)


def _user() -> Edit:
    return Edit("put the instructions into the user's message", lambda p: replace(p, layout="user"))


def _ending(scene: Scene) -> Iterator[Hit]:
    """A trailing space, or "Answer:" before a chat model's turn."""
    last = [p for p in scene.rules if p.part == "reminder"]
    ends = _closing(scene)
    if ends is None:
        return
    text = ends.text
    if text != text.rstrip(" "):
        yield Hit(
            "a trailing space: tokenizers merge it with the answer's first word", ends, len(text.rstrip(" ")), len(text)
        )
    cue = _ANSWER.search(text)
    if cue and scene.provider and scene.provider.chat:
        piece = last[-1] if last else ends
        edit = Edit("drop the cue", lambda p: replace(p, reminder=tidy(_ANSWER.sub("", p.reminder))))
        start = piece.text.rfind(cue.group().strip())
        yield Hit(
            f"“{cue.group().strip()}” at the end: the chat template begins the answer itself",
            piece,
            max(start, 0),
            len(piece.text),
            edit,
        )


def _closing(scene: Scene) -> Piece | None:
    """What stands last before the answer, when the file says it."""
    if scene.draft.form == "text":
        text = scene.draft.source.rstrip("\n")
        return Piece("text", text, 0)
    if scene.draft.turns:
        return Piece(
            "text", scene.draft.turns[-1].content, max(scene.draft.source.find(scene.draft.turns[-1].content), 0)
        )
    last = [p for p in scene.rules if p.part == "reminder"]
    return last[-1] if last else None


@rule(
    "PL039",
    "Messages or settings that the provider refuses",
    "P",
    "error",
    why="A second system message, one that is not first, too many stop sequences or too high a temperature is an "
    "error, or is "
    "silently dropped.",
    source="nac7 prompt-lint; OpenAI and Anthropic API references",
    suggestion="One system message, first; settings within the provider's limits.",
)
def refused(scene: Scene) -> Iterator[Hit]:
    """System messages, stop sequences, temperature."""
    places = [n for n, turn in enumerate(scene.draft.turns) if turn.role == "system"]
    piece = scene.rules[0] if scene.rules else None
    if len(places) > 1:
        yield Hit(f"{len(places)} system messages", piece, 0, 60)
    elif places and places[0]:
        yield Hit("the system message is not the first", piece, 0, 60)
    settings, model = scene.draft.settings, scene.provider
    if model is None:
        return
    stops = settings.get("stop") or ()
    count = 1 if isinstance(stops, str) else len(stops)
    if model.max_stops is not None and count > model.max_stops:
        yield _setting(scene, "stop", f"{count} stop sequences; {model.name} takes {model.max_stops}")
    temperature = settings.get("temperature")
    if temperature is not None and model.max_temperature is not None and float(temperature) > model.max_temperature:
        yield _setting(
            scene, "temperature", f"temperature {temperature}; {model.name} takes {model.max_temperature:g} at most"
        )


def _setting(scene: Scene, word: str, message: str) -> Hit:
    """A hit at the place where a setting is written."""
    at = scene.draft.source.find(word)
    return Hit(message, Piece("text", scene.draft.source, 0), max(at, 0), max(at, 0) + len(word))


@rule(
    "PL040",
    "Temperature where one answer is right",
    "P",
    "info",
    why="With a temperature above 0 a single answer is a draw: the score then holds chance that no repeat shows.",
    source="Google, Prompt engineering whitepaper (temperature 0 for tasks with one correct answer)",
    suggestion="Use temperature 0, or measure with --repeats.",
)
def drawn(scene: Scene) -> Iterator[Hit]:
    """A temperature on a task with one right answer, asked once."""
    temperature = scene.draft.settings.get("temperature")
    single = scene.closed or (
        scene.data is not None and scene.data.metric.name in ("numeric", "exact_match", "json_fields")
    )
    if (
        temperature is not None
        and float(temperature) > 0
        and single
        and int(scene.draft.settings.get("repeats") or 1) < 2
    ):
        yield _setting(scene, "temperature", f"temperature {temperature} on a task with one right answer, asked once")


def percentile(values: list[int], share: float) -> int:
    """The value below which a share of all lies (nearest rank)."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(share * len(ranked)))] if ranked else 0


@rule(
    "PL042",
    "Too long for the context, or for the answer",
    "D,P",
    "error",
    why="What does not fit is cut off or refused; an answer cut off at max_tokens is wrong however well it began.",
    source="dspy FAQ (context errors); brex prompt-engineering (token limits)",
    suggestion="Shorten the prompt, take fewer examples, or raise max_tokens.",
)
def too_long(scene: Scene) -> Iterator[Hit]:
    """Prompt, 99th percentile of inputs and answer exceed the context; or max_tokens is below the usual answer."""
    limit = scene.draft.settings.get("max_tokens")
    piece = scene.rules[0] if scene.rules else None
    rows = scene.data.rows if scene.data else ()
    gold = percentile([scene.count(e.target) for e in rows], 0.95)
    if limit is not None and gold > int(limit):
        yield _setting(
            scene, "max_tokens", f"max_tokens is {limit}; 5 % of the right answers have {gold} tokens or more"
        )
    if scene.provider is None or scene.provider.context is None:
        return
    fixed, inputs = scene.count(scene.whole), percentile([scene.count(e.text) for e in rows], 0.99)
    wanted = fixed + inputs + int(limit or gold)
    if wanted > scene.provider.context:
        yield Hit(
            f"{fixed} tokens of prompt, {inputs} of input and {int(limit or gold)} of answer exceed the context of "
            f"{scene.provider.context}",
            piece,
            0,
            60,
        )
