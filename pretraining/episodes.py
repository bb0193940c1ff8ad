"""Rows of our own for learning in context, made of the corpus' labelled texts: many small tasks, each with new names.

The corpus' own few-shot rows teach a form, but their labels mostly say what they mean, so that the examples can be
left unread. Here most tasks rename their labels (another class's name, or a word of no meaning), every example is a
turn whose answer is trained on, and the number of classes and examples, the wording and the order change from row to
row. A second kind asks for one answer in a named format.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from whichway.prompts.tfidf import Index

PAIRED = re.compile(r'^(?:\{"\w+": "(.+)"\}|the answer is (.+?)\.?|\w+: (.+)|about (.+))$', re.IGNORECASE)
WORDS = 60  # of a text at most
RARE, COMMON = 12, 4  # a class has so many texts at least; a name in so many sources is a code, not a class
WIDE = 0.25  # share of the tasks whose classes are two classes each
SHARED = 0.25  # of the texts of two names that are one class
SYNONYMS = (
    ("positive", "favourable", "good", "happy", "satisfied", "thumbs up", "liked it"),
    ("negative", "unfavourable", "dissatisfied", "unhappy", "bad", "disliked it", "thumbs down"),
    ("pro", "advantage", "plus", "good point", "strength"),
    ("con", "disadvantage", "minus", "bad point", "weakness"),
    ("toxic", "rude", "offensive language", "not acceptable", "offensive"),
    ("neutral", "polite", "clean", "acceptable"),
    ("subjective", "opinion", "personal view"),
    ("objective", "fact", "plain description"),
    ("elementary", "easy", "simple"),
    ("intermediate", "medium"),
    ("advanced", "hard"),
    ("overruling", "overturns an earlier decision", "yes"),
    ("not overruling", "does not overturn anything", "no"),
)

# What is asked, by source; the generic ones fit all.
ASKS = (
    "Which label fits?",
    "Classify the text.",
    "What is this about?",
    "Sort the message.",
    "Give the category of the text.",
    "Choose the label for each message.",
    "Which group does the text belong to?",
    "Label what you read.",
    "What kind of text is this?",
    "What does the writer want?",
    "Which topic is it?",
    "Decide which of the classes it is.",
    "Read the examples and go on.",
    "Follow the examples.",
    "Tag the next line.",
    "What would you file this under?",
)
LISTS = (
    "Answer with one of: {}.",
    "Answer with one of: {}.",
    "Labels: {}.",
    "Options: {}.",
    "Choose from: {}.",
    "One of: {}.",
    "The classes are {}.",
    "",
)
# fmt: off
CODES = (
    "apple", "river", "stone", "lamp", "tiger", "cloud", "red", "blue", "green", "seven", "nine", "left", "right",
    "up", "down", "alpha", "beta", "gamma", "delta", "moon", "sun", "table", "chair", "bread", "salt", "glass",
    "paper", "wood", "iron", "gold", "fish", "bird", "horse", "north", "south", "east", "west", "foo", "bar", "baz",
    "zip", "dax", "wug", "blick", "toma", "kiki", "bouba", "spoon", "door", "window", "garden", "tower", "bridge",
    "mountain", "island", "forest", "desert", "winter", "summer", "spring", "autumn", "circle", "square",
    "triangle", "king", "queen", "knight", "pawn", "one", "two", "three", "four", "five", "six", "yes", "no",
    "true", "false", "A", "B", "C", "D", "E", "F", "X", "Y", "Z", "0", "1", "2", "3",
)
# fmt: on
KEYS = ("label", "answer", "category", "class", "topic", "type", "result", "intent", "tag", "kind", "value", "output")
# (wording, answer): what a system message may ask for.
FORMATS = (
    ('Reply with JSON: {{"{key}": "..."}}.', '{{"{key}": "{label}"}}'),
    ("Write a JSON object with the key {key}.", '{{"{key}": "{label}"}}'),
    ('Respond in JSON, key "{key}".', '{{"{key}": "{label}"}}'),
    ('Use JSON for the answer; the only key is "{key}".', '{{"{key}": "{label}"}}'),
    ("The reply must be valid JSON with one field named {key}.", '{{"{key}": "{label}"}}'),
    ('Put the label into a JSON object under the key "{key}".', '{{"{key}": "{label}"}}'),
    ('JSON please, with "{key}" as its key.', '{{"{key}": "{label}"}}'),
    ("No other words.", "{label}"),
    ("Only the label.", "{label}"),
    ("", "{label}"),
    ("Write {key}: and then the label.", "{key}: {label}"),
    ("Put the label into square brackets.", "[{label}]"),
    ("Put the label in double quotes.", '"{label}"'),
    ("Give the answer between <{key}> and </{key}>.", "<{key}>{label}</{key}>"),
    ("Answer in capital letters.", "{upper}"),
    ("Answer in a full sentence.", "The answer is {label}."),
)


@dataclass(frozen=True)
class Pool:
    """One source's classes, each under its most frequent name, with all names and its texts."""

    source: str
    names: dict[str, list[str]]
    texts: dict[str, list[str]]

    @cached_property
    def size(self) -> int:
        """Texts in all."""
        return sum(map(len, self.texts.values()))


def pools(rows: Iterable[dict[str, Any]], overlap: Callable[[str], bool]) -> list[Pool]:
    """Texts by class and source, from rows whose turns are pairs of a text and its label; none that overlaps."""
    found: dict[str, dict[str, dict[str, None]]] = defaultdict(lambda: defaultdict(dict))
    for row in rows:
        messages = row["messages"]
        if row.get("task") != "classify" or messages[0]["role"] != "system" or len(messages) < 5:
            continue
        for user, said in zip(messages[1::2], messages[2::2], strict=False):
            text = user["content"].strip()
            if "\n" not in text and 1 < len(text.split()) <= WORDS and not overlap(text):
                found[row["source"]][plain(said["content"])].setdefault(text)
    spread = Counter(name for classes in found.values() for name in classes)
    kept = []
    for source, classes in sorted(found.items()):
        own = {
            name: texts
            for name, texts in classes.items()
            if len(texts) >= RARE and (spread[name] < COMMON or len(texts) > 200) and 1 < len(name) < 40
        }
        merged = _merged(own)
        if len(merged) > 1:
            names = {group[0]: group for group in merged}
            joined = {group[0]: list(dict.fromkeys(t for n in group for t in own[n])) for group in merged}
            if len(texts := _unambiguous(joined)) > 1:
                kept.append(Pool(source, names, texts))
    return kept


def _merged(classes: dict[str, dict[str, None]]) -> list[list[str]]:
    """Names that are one class: by `SYNONYMS`, or given to the same texts; the most frequent name first."""
    groups: list[list[str]] = []
    for name in sorted(classes, key=lambda n: (-len(classes[n]), n)):
        same = next((s for s in SYNONYMS if name in s), ())
        for group in groups:
            other = classes[group[0]]
            shared = len(classes[name].keys() & other.keys())
            if group[0] in same or (not same and shared >= max(4, SHARED * min(len(classes[name]), len(other)))):
                group.append(name)
                break
        else:
            groups.append([name])
    return groups


def _unambiguous(classes: dict[str, list[str]]) -> dict[str, list[str]]:
    """Without the texts that stand in two classes: one of the two was renamed."""
    count = Counter(t for texts in classes.values() for t in texts)
    own = {name: [t for t in texts if count[t] == 1] for name, texts in classes.items()}
    return {name: texts for name, texts in own.items() if len(texts) >= RARE // 2}


def plain(label: str) -> str:
    """A label without the format that it was given in: `{"label": "OrderPizza"}` is `order pizza`."""
    if found := PAIRED.match(label.strip()):
        label = next(g for g in found.groups() if g is not None)
    label = label.strip("*<>[]()\"' ")
    if found := PAIRED.match(label):
        label = next(g for g in found.groups() if g is not None)
    if label.startswith("#"):  # written without spaces
        return ""
    label = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", label)
    return re.sub(r"[_/\-\s]+", " ", label).strip(" .").lower()


def learning(pools_: Sequence[Pool], count: int, seed: int) -> Iterator[dict[str, Any]]:
    """`count` tasks to be learned from their earlier turns."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        pool = _drawn(pools_, rng)
        wide = 2 if len(pool.texts) > 8 and rng.random() < WIDE else 1  # classes in one
        most = min(len(pool.texts) // wide, int(rng.choice([2, 3, 4, 5, 6, 8])))
        drawn = [str(n) for n in rng.choice(sorted(pool.texts), most * wide, replace=False)]
        names = drawn[:most]
        said = _codes(names, rng) if wide > 1 else _names(names, pool, rng)
        turns = int(rng.choice([2, 3, 5, 9, 13, 17, 21], p=[0.06, 0.08, 0.12, 0.18, 0.2, 0.22, 0.14]))
        even = rng.random() < 0.6
        order = [i % most for i in range(turns - 1)] if even else list(rng.integers(most, size=turns - 1))
        taken: set[str] = set()
        messages = [{"role": "system", "content": _ask([said[n] for n in names], rng)}]
        for i in [*rng.permutation(order), rng.integers(most)]:
            texts = pool.texts[drawn[int(i) + most * int(rng.integers(wide))]]
            text = texts[rng.integers(len(texts))]
            if text not in taken:
                taken.add(text)
                messages += [{"role": "user", "content": text}, {"role": "assistant", "content": said[names[int(i)]]}]
        if len(messages) > 2:
            yield {"messages": messages}


def nearest(pools_: Sequence[Pool], count: int, seed: int) -> Iterator[dict[str, Any]]:
    """`count` tasks whose earlier turns are the rows most like the question, the most similar last.

    Chosen as the product chooses shots for a row, out of a few hundred labelled ones. Among examples drawn at random
    there is seldom one that says the answer, so that a model learns to leave them unread; here the last ones do.
    """
    rng = np.random.default_rng(seed)
    for _ in range(count):
        pool = _drawn(pools_, rng)
        most = min(len(pool.texts), int(rng.choice([2, 3, 4, 5, 6, 8, 12])))
        names = [str(n) for n in rng.choice(sorted(pool.texts), most, replace=False)]
        said = _names(names, pool, rng)
        size = int(rng.choice([60, 120, 200, 300]))
        labelled = {text: name for name in names for text in _some(pool.texts[name], size // most, rng)}
        name = names[rng.integers(most)]
        question = pool.texts[name][rng.integers(len(pool.texts[name]))]
        labelled.pop(question, None)
        others = list(labelled)
        if not others:
            continue
        shown = Index(others).nearest(question, int(rng.choice([1, 2, 4, 8, 16], p=[0.2, 0.2, 0.25, 0.2, 0.15])))
        turns = [(others[i], said[labelled[others[i]]]) for i in reversed(shown)]
        messages = [{"role": "system", "content": _ask([said[n] for n in names], rng)}]
        for text, answer in [*turns, (question, said[name])]:
            messages += [{"role": "user", "content": text}, {"role": "assistant", "content": answer}]
        yield {"messages": messages}


def _some(texts: list[str], count: int, rng: np.random.Generator) -> list[str]:
    """At most `count` of them, at least one."""
    drawn = rng.choice(len(texts), min(len(texts), max(1, count)), replace=False)
    return [texts[i] for i in drawn]


def _drawn(pools_: Sequence[Pool], rng: np.random.Generator) -> Pool:
    weights = np.array([p.size**0.5 for p in pools_])
    return pools_[rng.choice(len(pools_), p=weights / weights.sum())]


def _names(names: list[str], pool: Pool, rng: np.random.Generator) -> dict[str, str]:
    draw = rng.random()
    if draw < 0.35:
        return {n: _name(pool, n, rng) for n in names}
    if draw < 0.6:  # another class's name
        turned = list(rng.permutation(names))
        return dict(zip(names, map(str, turned), strict=True))
    return _codes(names, rng)


def _codes(names: list[str], rng: np.random.Generator) -> dict[str, str]:
    return dict(zip(names, map(str, rng.choice(CODES, len(names), replace=False)), strict=True))


def _name(pool: Pool, name: str, rng: np.random.Generator) -> str:
    return pool.names[name][rng.integers(len(pool.names[name]))]


def _ask(labels: list[str], rng: np.random.Generator) -> str:
    ask = ASKS[rng.integers(len(ASKS))]
    listed = LISTS[rng.integers(len(LISTS))].format(", ".join(sorted(labels) if rng.random() < 0.7 else labels))
    return (ask + ("\n\n", "\n", " ")[rng.integers(3)] + listed).strip() if listed else ask


def formats(pools_: Sequence[Pool], count: int, seed: int) -> Iterator[dict[str, Any]]:
    """`count` single questions with a list of labels and a format that the system message names."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        pool = _drawn(pools_, rng)
        most = min(len(pool.texts), int(rng.choice([2, 3, 4, 5, 6, 8, 12])))
        names = [str(n) for n in rng.choice(sorted(pool.texts), most, replace=False)]
        name = names[rng.integers(most)]
        said = {n: _name(pool, n, rng) for n in names}
        text = pool.texts[name][rng.integers(len(pool.texts[name]))]
        wording, answer = FORMATS[rng.integers(len(FORMATS))]
        key = KEYS[rng.integers(len(KEYS))]
        parts = [_ask(list(said.values()), rng), wording.format(key=key)]
        if rng.random() < 0.3:
            parts.reverse()
        system = ("\n", " ", "\n\n")[rng.integers(3)].join(p for p in parts if p)
        reply = answer.format(key=key, label=said[name], upper=said[name].upper())
        if wording.startswith(("Write a JSON", "The reply must")) and rng.random() < 0.2:
            reply = json.dumps({key: said[name]}, separators=(",", ":"))
        if rng.random() < 0.75:
            messages = [{"role": "system", "content": system}, {"role": "user", "content": text}]
        else:
            messages = [{"role": "user", "content": f"{system}\n\n{text}"}]
        yield {"messages": [*messages, {"role": "assistant", "content": reply}]}
