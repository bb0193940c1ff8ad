"""Rows that cannot be used: refused by default, left out and listed with an allowance; columns that play no part."""

import pytest
from files_kit import ROWS, examine, examples, jsonl, lines, pairs, told

from whichway import tasks
from whichway.errors import UserError

CSV = lines("{},{}", header="text,label")
BAD = {
    "a target that is empty": ("d.csv", CSV + "lonely text,\n", "is empty"),
    "an input that is empty": ("d.csv", CSV + ",sales\n", "the input (text) is empty"),
    "a missing value": ("d.csv", CSV + "lonely text,nan\n", "'nan', which stands for a missing value"),
    "a spreadsheet's error": ("d.csv", CSV + "lonely text,#REF!\n", "'#REF!', which stands for"),
    "a ragged row": ("d.csv", CSV + "lonely text,sales,more\n", "3 fields"),
    "an open quote": ("d.csv", lines('"a, {}",{}', header="text,label") + 'x,"y, z\n', "never closed"),
    "broken JSON": ("d.jsonl", jsonl([{"text": t, "label": y} for t, y in ROWS]) + '\n{"text": "a', "broken JSON"),
    "a row that is no object": ("d.jsonl", jsonl([{"text": t, "label": y} for t, y in ROWS]) + "\n[1]", "object"),
    "a chat without an answer": (
        "d.jsonl",
        jsonl([{"messages": [{"role": "user", "content": t}, {"role": "assistant", "content": y}]} for t, y in ROWS])
        + '\n{"messages": [{"role": "user", "content": "x"}]}',
        "messages",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_row_stops_the_reading_or_is_left_out(case, tmp_path):
    name, content, words = BAD[case]
    with pytest.raises(UserError) as caught:
        examine(tmp_path, name, content)
    assert words in str(caught.value)
    assert "--skip-bad 2%" in str(caught.value)
    found = examine(tmp_path, name, content, skip_bad="5%")
    assert len(pairs(found)) == 60
    assert "1 of 61 rows cannot be used and are left out" in told(found)
    assert words in told(found)
    assert str(tmp_path) not in told(found)  # the plan is the same wherever the file lies
    with pytest.raises(UserError, match=r"1 of 61 rows cannot be used \(1\.6%\)"):
        examine(tmp_path, name, content, skip_bad="1%")


def test_a_target_that_is_no_label_is_left_out(tmp_path):
    found = examine(tmp_path, "d.csv", CSV + "x,bilings\n", labels=["billing", "technical", "sales"], skip_bad=0.05)
    assert len(pairs(found)) == 60
    assert "'bilings' is not among the labels" in told(found)
    assert {e.target for e in examples(found)} == {"billing", "technical", "sales"}


def test_shares_are_checked():
    assert tasks.from_flags(data="d.csv", skip_bad="2.5%").skip_bad == 0.025
    for wrong in ("2", 2, "x%", "60%", -0.1):
        with pytest.raises(UserError, match="skip_bad"):
            tasks.from_flags(data="d.csv", skip_bad=wrong)


def test_many_are_listed_by_their_places(tmp_path):
    found = examine(tmp_path, "d.csv", CSV + "".join(f"text {n},\n" for n in range(30)), skip_bad="40%")
    assert told(found).count("left out: ") == 21
    assert "d.csv:91" in told(found)


def test_no_column_is_the_group_the_id_or_the_split(tmp_path):
    content = "text,label,group,id,split\n" + "".join(f"{t},{y},{'AB'[n % 2]},{n % 3},train\n" for n, (t, y) in
                                                      enumerate(ROWS))  # fmt: skip
    with pytest.raises(UserError, match=r"if it is no id, say id: none"):
        examine(tmp_path, "d.csv", content)
    with pytest.raises(UserError, match=r"Column 'group' was taken as the group by its name, and has 2 different"):
        examine(tmp_path, "d.csv", content, id="none", split="none")
    found = examine(tmp_path, "d.csv", content, id="none", group="none", split="none")
    assert pairs(found) == sorted(ROWS)
    assert all(e.group is None for e in examples(found))
    assert "not used: group, id, split" in told(found)


def test_parts_found_by_name_are_told(tmp_path):
    content = "text,label,group\n" + "".join(f"{t},{y},customer {n}\n" for n, (t, y) in enumerate(ROWS))
    assert "group: group (found by name; if it is not, say group: none)." in told(examine(tmp_path, "d.csv", content))


def test_a_column_called_none_is_a_column(tmp_path):
    content = "text,label,none\n" + "".join(f"{t},{y},c{n % 20}\n" for n, (t, y) in enumerate(ROWS))
    found = examine(tmp_path, "d.csv", content, group="none")
    assert {e.group for e in examples(found)} == {f"c{n}" for n in range(20)}


def test_labels_that_may_stand_for_nothing_are_doubted(tmp_path):
    found = examine(tmp_path, "d.csv", CSV + "one more,None\n")
    assert "'None' is read as a label (1 row)" in told(found)
    listed = examine(tmp_path, "e.csv", CSV + "one more,nan\n", labels=["billing", "technical", "sales", "nan"])
    assert "nan" in {e.target for e in examples(listed)}
