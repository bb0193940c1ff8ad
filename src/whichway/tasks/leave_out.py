"""What must not be shown beside a training row: what no row that is asked later will find among its examples.

The split keeps copies, near-copies and rows of one group on one side, so a dev or test row has none of its own in the
training rows. A training that chooses examples for its rows among themselves has to leave them out, or it would learn
to trust its examples more than they deserve.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from whichway.nouns import Example
from whichway.tasks import near_duplicates


def left_out(examples: Sequence[Example]) -> dict[str, frozenset[str]]:
    """Row text -> the texts of the other rows that are copies or near-copies of it, or of its group.

    Args:
        examples: the training rows.
    """
    numbers: dict[str, int] = {}
    for example in examples:
        numbers.setdefault(near_duplicates.skeleton(example.text), len(numbers))
    texts: dict[int, set[str]] = defaultdict(set)
    groups: dict[str, set[str]] = defaultdict(set)
    for example in examples:
        texts[numbers[near_duplicates.skeleton(example.text)]].add(example.text)
        if example.group is not None:
            groups[example.group].add(example.text)
    near: dict[int, set[int]] = {number: {number} for number in texts}
    for number, earlier in enumerate(near_duplicates.earlier(list(numbers))):
        for other in earlier:
            near[number].add(other)
            near[other].add(number)
    mates: dict[str, frozenset[str]] = {}
    for example in examples:
        alike = (texts[number] for number in near[numbers[near_duplicates.skeleton(example.text)]])
        group = groups[example.group] if example.group is not None else set[str]()
        mates[example.text] = frozenset(group.union(*alike) - {example.text})
    return mates
