"""Error groups against planted ones: five slices of rows are made to fail, and the report's groups should name them.

In each world a way answers real rows and gets a share of them wrong by chance. On five slices it fails far more often:
one label is answered as another; the longest rows; rows with any of three words that go together; a cluster of like
rows by a sentence encoder, which the search does not use unless asked; and one label's shorter rows. A slice counts as
found where groups that consist of it (half of their failing rows and more) hold at least half of its failing rows. A
group is false where less than half of its failing rows are in any planted slice. Worlds without planted slices say how
often something is found where nothing is.

    python benchmarks/planted_failures.py --sets a.jsonl b.jsonl --encoder minilm --out benchmarks/results/planted.md

A set is a file of JSON lines with `input` and `target`.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from table_writer import write_table

from whichway.verdict.error_groups import Failures, Part, error_groups, parts_of
from whichway.verdict.slices import RowFacts
from whichway.verdict.text_parts import clusterings, k_means, text_parts, tokens

KINDS = ("confusion", "long rows", "theme of three words", "cluster by the encoder", "short rows of a label")
CHANCE = 0.12  # of a wrong answer outside the slices
FAILS = 0.7  # share of a planted slice that fails
SMALLEST, LARGEST = 0.04, 0.15  # share of the rows that a slice has


@dataclass(frozen=True)
class Set:
    """Rows of a task, and vectors of them."""

    name: str
    texts: tuple[str, ...]
    targets: tuple[str, ...]
    vectors: Any  # (n, d) by the encoder

    def parts(self, by_encoder: bool) -> list[Part]:
        """What the search looks at."""
        facts = RowFacts(targets=self.targets, lengths=tuple(map(len, self.texts)))
        return [*parts_of(facts), *text_parts(self.texts, clusterings(self.vectors) if by_encoder else None)]


@dataclass(frozen=True)
class Count:
    """Of one world: which kinds were planted and found, groups, false ones."""

    planted: tuple[str, ...]
    detected: tuple[str, ...]
    groups: int
    false: int


def read_set(path: Path, rows: int, encoder: str) -> Set:
    """The first rows of a file; vectors by the encoder."""
    from whichway.backends.encoder import EncoderBackend

    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()][:rows]
    texts = tuple(line["input"] for line in lines)
    backend = EncoderBackend()
    vectors = np.stack([each.vector for each in backend.embed(backend.weights(encoder), texts)]).astype(float)
    return Set(path.stem, texts, tuple(line["target"] for line in lines), vectors)


def slices_of(rows: Set, rng: Any) -> dict[str, tuple[Any, str]]:
    """Kind -> (rows, the label that is given instead: "" for any)."""
    n, labels = len(rows.texts), sorted(set(rows.targets))
    targets = np.array(rows.targets, dtype=object)
    lengths = np.array([len(text) for text in rows.texts])
    counts = Counter(rows.targets)
    often = [label for label in labels if counts[label] >= SMALLEST * n]
    first, second = (str(label) for label in rng.permutation(often)[:2])
    confused = targets == first
    share = min(1.0, LARGEST * n / confused.sum())
    planted = {KINDS[0]: (confused & (rng.random(n) < share), second)}
    planted[KINDS[1]] = (lengths > np.quantile(lengths, 0.9), "")
    planted[KINDS[2]] = (_theme(rows.texts, rng), "")
    codes = k_means(rows.vectors, max(8, n // 50))
    sizes = [(codes == k) for k in range(codes.max() + 1)]
    fit = [mask for mask in sizes if SMALLEST * n <= mask.sum() <= LARGEST * n]
    planted[KINDS[3]] = (fit[int(rng.integers(len(fit)))], "")
    own = targets == second
    planted[KINDS[4]] = (own & (lengths <= np.quantile(lengths[own], 0.5)), "")
    return {kind: (mask, answer) for kind, (mask, answer) in planted.items() if mask.sum() >= 15}


def _theme(texts: Sequence[str], rng: Any) -> Any:
    """Rows with any of three words: one of middling frequency, and the two that come with it most often."""
    words = [set(tokens(text)) for text in texts]
    counts = Counter(word for those in words for word in those if len(word) > 2)
    n = len(texts)
    middling = sorted(word for word, count in counts.items() if 0.02 * n <= count <= 0.05 * n)
    for _ in range(50):
        word = str(rng.choice(middling))
        beside = Counter(w for those in words if word in those for w in those if w in middling and w != word)
        theme = {word, *(w for w, _ in sorted(beside.items(), key=lambda pair: (-pair[1], pair[0]))[:2])}
        mask = np.array([bool(those & theme) for those in words])
        if SMALLEST * n <= mask.sum() <= LARGEST * n:
            break
    return mask


def world(rows: Set, parts: Sequence[Part], seed: int, plant: bool) -> Count:
    """One way's answers with planted failures, and what is found in them."""
    rng = np.random.default_rng([seed, len(rows.texts)])
    labels, n = sorted(set(rows.targets)), len(rows.texts)
    planted = slices_of(rows, rng) if plant else {}
    failing = rng.random(n) < CHANCE
    answers = [target if right else str(rng.choice([x for x in labels if x != target]))
               for target, right in zip(rows.targets, ~failing, strict=True)]  # fmt: skip
    for mask, answer in planted.values():
        for k in np.flatnonzero(mask & (rng.random(n) < FAILS)):
            wrong = [answer] if answer else [x for x in labels if x != rows.targets[k]]
            answers[k] = str(rng.choice(wrong))
            failing[k] = answers[k] != rows.targets[k]
    groups = error_groups(Failures(failing, rows.targets, tuple(answers)), parts)
    members = [set(group.members[: group.failing]) for group in groups]
    detected, anywhere = [], set()
    for kind, (mask, _) in planted.items():
        own = set(np.flatnonzero(mask & failing))
        anywhere |= own
        of = [those for those in members if len(those & own) >= len(those) / 2]
        if len(set().union(*of) & own) >= len(own) / 2:
            detected.append(kind)
    false = sum(len(those & anywhere) < len(those) / 2 for those in members)
    return Count(tuple(planted), tuple(detected), len(groups), false)


def lines(sets: Sequence[Set], worlds: int, command: str) -> Iterator[str]:
    """The page."""
    yield "# Planted failures"
    yield ""
    yield f"`{command}`: {worlds} worlds a set; {__doc__.split(chr(10) * 2)[1].replace(chr(10), ' ')}"
    for by_encoder in (False, True):
        yield ""
        yield f"## Clusters by {'the encoder' if by_encoder else 'words'}"
        yield ""
        last = ("groups a world", "false groups", "nothing planted: worlds with a group")
        yield f"| {' | '.join(('set', 'rows', 'slices found', *KINDS, *last))} |"
        yield "|" + "---|" * (6 + len(KINDS))
        everything = []
        for rows in sets:
            parts = rows.parts(by_encoder)
            counts = [world(rows, parts, seed, True) for seed in range(worlds)]
            empty = [world(rows, parts, seed, False) for seed in range(worlds)]
            everything += counts
            yield row_of(rows.name, len(rows.texts), counts, empty)
        yield row_of("all", sum(len(s.texts) for s in sets), everything, [])


def row_of(name: str, n: int, counts: Sequence[Count], empty: Sequence[Count]) -> str:
    """A line of the table."""
    planted = Counter(kind for c in counts for kind in c.planted)
    detected = Counter(kind for c in counts for kind in c.detected)
    groups, false = sum(c.groups for c in counts), sum(c.false for c in counts)
    cells = [
        name,
        f"{n:,}",
        f"{detected.total()} of {planted.total()}, {detected.total() / planted.total():.0%}",
        *(f"{detected[kind]} of {planted[kind]}" for kind in KINDS),
        f"{groups / len(counts):.1f}",
        f"{false} of {groups}, {false / max(1, groups):.0%}",
        f"{sum(c.groups > 0 for c in empty)} of {len(empty)}" if empty else "",
    ]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Parse, plant, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=800)
    parser.add_argument("--worlds", type=int, default=10)
    parser.add_argument("--encoder", default="minilm")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    sets = [read_set(path, arguments.rows, arguments.encoder) for path in arguments.sets]
    command = f"python benchmarks/planted_failures.py --rows {arguments.rows} --worlds {arguments.worlds}"
    write_table(lines(sets, arguments.worlds, command), arguments.out)


if __name__ == "__main__":
    main()
