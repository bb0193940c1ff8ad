"""A closed label set as a tree of tokens, and the scores of its labels.

**Score of a label**: the log-probability of its tokens, turn end included, where at each token the model may only
choose among tokens that lead to some label. It is what constrained decoding would give, a distribution over the labels.
Tokens without an alternative cost nothing, so long labels are not punished for their length; and where labels part,
the probabilities are the model's own. (A mean over tokens is no distribution: with p("billing") = 0.6 on one token and
p("technical_support") = 0.3 on four, it prefers the second, -0.30 to -0.51, and so undoes what training learned.)
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from whichway.engine.model.packing import Tree


@dataclass(frozen=True, slots=True)
class Branch:
    """A place in the trie where labels part."""

    node: int  # index into the tree; -1: right after the prompt
    children: tuple[tuple[int, ...], ...]  # indices of the tokens that count as each child (several for the turn end)
    labels: tuple[int, ...]  # the labels that pass here
    turns: tuple[int, ...]  # which child each of them takes


@dataclass(frozen=True, slots=True)
class Trie:
    """A label set as a tree of tokens, cut down to what must be computed to tell the labels apart."""

    tree: Tree
    tokens: tuple[int, ...]  # ids of all that may follow at some branch
    branches: tuple[Branch, ...]
    sizes: tuple[int, ...]  # tokens of each label, turn end included


def grow(labels: Sequence[Sequence[int]], closing: frozenset[int]) -> Trie:
    """Build the trie of labels given as token ids, each with its turn end; `closing` ids count as any turn end."""
    at: dict[tuple[int, ...], dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    for number, ids in enumerate(labels):
        for depth, token in enumerate(ids):
            at[tuple(ids[:depth])][token].append(number)
    parts = sorted((path for path, children in at.items() if len(children) > 1), key=lambda path: (len(path), path))
    fed = sorted({path[:n] for path in parts for n in range(1, len(path) + 1)}, key=lambda path: (len(path), path))
    index = {(): -1, **{path: n for n, path in enumerate(fed)}}
    tree = Tree(tuple(path[-1] for path in fed), tuple(index[path[:-1]] for path in fed))
    groups = [_groups(list(at[path]), closing) for path in parts]
    tokens = tuple(sorted({token for branch in groups for group in branch for token in group}))
    column = {token: n for n, token in enumerate(tokens)}
    branches = []
    for path, here in zip(parts, groups, strict=True):
        turns = sorted((label, turn) for turn, token in enumerate(at[path]) for label in at[path][token])
        children = tuple(tuple(column[token] for token in group) for group in here)
        branches.append(Branch(index[path], children, tuple(n for n, _ in turns), tuple(turn for _, turn in turns)))
    return Trie(tree, tokens, tuple(branches), tuple(len(ids) for ids in labels))


def _groups(tokens: Sequence[int], closing: frozenset[int]) -> list[tuple[int, ...]]:
    """The ids that count as each of the tokens that may follow: for one that ends an answer, all that do."""
    return [tuple(sorted(closing - set(tokens) | {t})) if t in closing else (t,) for t in tokens]


def score(logits: Tensor, trie: Trie) -> list[list[float]]:
    """Label scores from logits `[B, branches, tokens]` of the trie's tokens at its branches."""
    total = torch.zeros(len(logits), len(trie.sizes), device=logits.device)
    for branch, here in zip(trie.branches, logits.unbind(1), strict=True):
        of = torch.stack([here[:, list(ids)].logsumexp(-1) for ids in branch.children], dim=-1).log_softmax(-1)
        total[:, list(branch.labels)] += of[:, list(branch.turns)]
    numbers: list[list[float]] = total.tolist()
    return numbers
