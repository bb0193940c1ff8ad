"""The split of each row that a way sees."""

from __future__ import annotations

from functools import cached_property

from whichway.nouns import Split, TrainDevView


class RowSplits:
    """The split of rows by their ids. Ids are digests, so that those of the rows to train on are made when needed.

    Args:
        practice: the rows.
    """

    def __init__(self, practice: TrainDevView) -> None:
        self._practice = practice

    @cached_property
    def _dev(self) -> frozenset[str]:
        return frozenset(e.id for e in self._practice.dev)

    @cached_property
    def _train(self) -> frozenset[str]:
        return frozenset(e.id for e in self._practice.train)

    def get(self, row: str) -> Split | None:
        """The split of a row; None for one that is neither in train nor in dev."""
        if row in self._dev:
            return "dev"
        return "train" if row in self._train else None

    def __getitem__(self, row: str) -> Split:
        split = self.get(row)
        if split is None:
            raise KeyError(row)
        return split
