"""Word dropout: what may be left out of a row, what never is, and that the step alone decides."""

import random

import pytest

from whichway import training_kinds
from whichway.engine.train.adapter_check import Encoded
from whichway.engine.train.word_dropout import WordDropout
from whichway.errors import OptionError

HEAD, MARK, TAIL, ANSWER = [1, 2, 3], 9, [7, 8], [5, 6]
ROWS = [Encoded([*HEAD, *range(n, n + 40), MARK, *range(n + 60, n + 100), *TAIL], ANSWER) for n in (100, 300, 500)]


def dropped(share, seed=0):
    return WordDropout.of(ROWS, share, len(HEAD), {MARK})(ROWS, random.Random(seed))


def test_what_all_rows_share_the_marks_and_the_answer_stay():
    for row, thin in zip(ROWS, dropped(0.5), strict=True):
        assert thin.prompt[:3] == HEAD
        assert thin.prompt[-2:] == TAIL
        assert thin.prompt.count(MARK) == 1
        assert thin.answer == ANSWER
        left = iter(row.prompt)
        assert all(token in left for token in thin.prompt)  # in their order
        assert 25 < len(thin.prompt) < 65  # 80 words, half of them


def test_the_draw_decides():
    assert dropped(0.3) == dropped(0.3)
    assert dropped(0.3) != dropped(0.3, seed=1)


def test_a_row_keeps_its_words_where_all_would_go():
    rows = [Encoded([1, word, 7], ANSWER) for word in (20, 21)]
    assert WordDropout.of(rows, 0.999999, 1, ())(rows, random.Random(0)) == rows


def test_rows_that_say_the_same_lose_nothing():
    rows = [ROWS[0], ROWS[0]]
    assert WordDropout.of(rows, 0.9, len(ROWS[0].prompt) - 1, ())(rows, random.Random(0)) == rows


@pytest.mark.parametrize("share", [1, 1.5, -0.1, "much"])
def test_a_share_that_makes_no_sense(share):
    with pytest.raises(OptionError, match=r"word_dropout .* at least 0 and less than 1"):
        training_kinds.options(training_kinds.LoraOptions, {"word_dropout": share})


@pytest.mark.parametrize("kind", ["top", "dpo", "full"])
def test_kinds_that_keep_what_they_computed_of_a_row_have_none(kind):
    with pytest.raises(OptionError, match="no option 'word_dropout'"):
        training_kinds.options(training_kinds.KINDS[kind].options, {"word_dropout": 0.1})
