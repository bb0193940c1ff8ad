"""Residue: what optimisers, templates and copying leave in a prompt, and what they must not have changed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from whichway.lint.answers import json_blocks
from whichway.lint.edits import each_text, short, tidy
from whichway.lint.registry import Edit, Hit, rule
from whichway.lint.scene import VARIABLE, Piece, Scene
from whichway.nouns import Prompt

_THOUGHT = re.compile(r"</?(?:think|thinking|scratchpad|reasoning)>", re.I)
_WHOLE = re.compile(r"<(think|thinking|scratchpad)>.*?</\1>|</?(?:think|thinking|scratchpad)>", re.I | re.S)
_PREAMBLE = re.compile(
    r"^\W*(?:sure|certainly|of course|okay|here(?:['’]s| is| are))\b[^\n]{0,60}\b(?:improved|revised|new|updated|"
    r"optimi[sz]ed|better|your)\b[^\n]{0,30}\b(?:prompt|instructions?|version)\b[^\n]*:?",
    re.I,
)
_DANGLING = re.compile(
    r"(?:,|\b(?:and|or|the|a|an|of|to|with|for|in|that|which|is|are|as|by|from|if|when|your|you|should|must|not))\s*$",
    re.I,
)
_ROW_FIELDS = ("input", "text", "row")


@rule(
    "PL033",
    "Cut off, or residue of an optimiser",
    "S",
    "error",
    why="A proposal that was cut off at the token limit, or that holds the proposer's own talk, goes on to every call.",
    source="gepa #390 (13 of 23 candidates truncated, the winner among them)",
    suggestion="Finish the sentence, close the fence, take the talk out.",
)
def leftovers(scene: Scene) -> Iterator[Hit]:
    """An open fence, thinking tags, an assistant's preamble, a sentence that stops in the middle."""
    for piece in scene.rules:
        text = piece.text
        if text.count("```") % 2:
            at = text.rfind("```")
            yield Hit("a code fence is opened and not closed", piece, at, at + 3)
        opened = list(_THOUGHT.finditer(text))
        tags = {m.group().strip("</>").casefold() for m in opened}
        if opened and ("think" in tags or len(opened) % 2):
            edit = Edit("take the thinking out", lambda p: each_text(p, lambda t: tidy(_WHOLE.sub("", t))))
            yield Hit(f"{opened[0].group()} is left over", piece, *opened[0].span(), edit)
        preamble = _PREAMBLE.match(text)
        if preamble:
            words = preamble.group()
            edit = Edit("take the preamble out", lambda p, w=words: each_text(p, lambda t: tidy(t.replace(w, "", 1))))  # type: ignore[misc]
            yield Hit(f"“{short(words)}” is the proposer talking", piece, *preamble.span(), edit)
        cut = _DANGLING.search(text.rstrip())
        if cut and len(text.split()) > 3 and piece.part != "reminder" and not _row_follows(scene, piece):
            yield Hit(
                f"ends in the middle of a sentence: “…{short(text.rstrip()[-30:])}”",
                piece,
                cut.start(),
                len(text.rstrip()),
            )


def _row_follows(scene: Scene, piece: Piece) -> bool:
    """Whether the row comes directly after this piece, so that it may end a sentence."""
    return scene.draft.form == "text" and piece.part == "objective"


_SCALE = re.compile(r"\b(?:from )?(\d+) ?(?:to|-|–) ?(\d+)\b")


@rule(
    "PL034",
    "A protected part was changed",
    "S",
    "error",
    why="With another label list, scale or schema the answers are no longer those that the metric and the users "
    "expect.",
    source="gepa FAQ (frozen parts); dspy #9492",
    suggestion="Put the protected part back as it was.",
)
def protected(scene: Scene) -> Iterator[Hit]:
    """Labels, scale, schema or variables differ from the seed's."""
    seed, now = scene.seed, scene.prompt
    if seed is None:
        return
    piece = scene.rules[0] if scene.rules else None
    for slot in seed.protected:
        before, after = getattr(seed, slot, None), getattr(now, slot, None)
        if before and before != after:
            edit = Edit(f"put {slot} back", lambda p, s=slot, b=before: replace(p, **{s: b}))  # type: ignore[misc]
            yield Hit(f"{slot} was {short(str(before))}", piece, 0, 60, edit)
    old, new = "\n".join(_texts(seed)), "\n".join(_texts(now))
    for what, find in (("scale", _SCALE.findall), ("schema", _schemas), ("variables", VARIABLE.findall)):
        lost = [one for one in find(old) if one not in find(new)]
        if lost:
            yield Hit(f"the {what} {short(str(lost[0]))} of the seed is gone", piece, 0, 60)


def _texts(prompt: Prompt) -> list[str]:
    from whichway.lint.scene import texts

    return [text for part, text, _ in texts(prompt) if not part.startswith("shot")]


def _schemas(text: str) -> list[str]:
    return ["".join(text[a:b].split()) for a, b in json_blocks(text)]


_OPEN = re.compile(r"\{\{(?![^{}\n]*\}\})|\{%(?![^\n]*%\})")
_SINGLE = re.compile(r"(?<![{\w])\{([A-Za-z_]\w*)\}(?!\})")


@rule(
    "PL035",
    "Variables that do not fit",
    "S",
    "error",
    why="A variable that nothing fills reaches the model as braces; one that is missing leaves the row out.",
    source="Eainde prompt-lint CNS; promptfoo (nunjucks variables)",
    suggestion="Use the names of the row's fields, in double braces: {{text}}.",
)
def variables_fit(scene: Scene) -> Iterator[Hit]:
    """A variable without a value, one never used, braces that do not close."""
    known = scene.draft.fields
    if known is None and scene.data and scene.data.rows:
        known = tuple(next(iter(scene.data.rows)).input)
    source = Piece("text", scene.draft.source, 0)
    for match in _OPEN.finditer(scene.draft.source):
        yield Hit("braces that are opened and not closed", source, *match.span())
    if scene.draft.form == "slots":
        filled = scene.prompt.variables
        for piece, match in scene.search(VARIABLE):
            if match[1] in filled and (known is None or match[1] in (*known, "input")):
                continue
            yield Hit(
                f"{match.group()} is never filled: the row enters by itself, after the instructions",
                piece,
                *match.span(),
            )
        return
    used = list(VARIABLE.finditer(scene.draft.source))
    if known is None:
        return
    allowed = {*known, *(_ROW_FIELDS if len(known) == 1 or scene.draft.form == "text" else ())}
    for match in used:
        if match.group(1).split(".")[0] not in allowed:
            yield Hit(f"nothing fills {match.group()}; a row has {', '.join(known)}", source, *match.span())
    for match in _SINGLE.finditer(scene.draft.source):
        if match.group(1) in allowed:
            yield Hit(f"{match.group()} has single braces and stays as it is", source, *match.span())
    names = {match.group(1) for match in used}
    unused = (
        [name for name in known if name not in names] if names and not names & set(_ROW_FIELDS) - set(known) else []
    )
    if unused:
        yield Hit(f"{', '.join(unused)} of the row is never used", source, *used[0].span())
