"""CSV and TSV as spreadsheets, databases and libraries write them: read as meant, and told."""

import csv
import io

import pytest
from files_kit import ROWS, examine, examples, lines, pairs, told

from whichway.errors import UserError
from whichway.tasks.read import read

COMMAS = [(f"{text}, really", team) for text, team in ROWS]
SPEECH = [(f'he said "{text}", twice', team) for text, team in ROWS]
EXCEL = "Nr;Text;Team;Betrag;;\r\n" + "".join(f'{n};"{t}";{y};{n},50;;\r\n' for n, (t, y) in enumerate(ROWS))
CASES = {
    # name: (content, flags, rows, words that are told)
    "separator line": ("sep=;\r\n" + lines("{};{}", header="text;label", end="\r\n"), {}, ROWS, ["sep=;"]),
    "quoted separator line": ('"sep=|"\n' + lines("{}|{}", header="text|label"), {}, ROWS, ["sep=|"]),
    "semicolons": (lines("{};{}", header="text;label"), {}, ROWS, ["semicolon"]),
    "semicolons and a comma in the header": (
        lines("{};{}", header="text;label, as given"), {"input": "text"}, ROWS, ["semicolon"],
    ),
    "bars": (lines("{}|{}", header="text|label"), {}, ROWS, ["vertical bar"]),
    "a separator by flag": (lines("{}^{}", header="text^label"), {"delimiter": "^"}, ROWS, []),
    "two characters by flag": (lines("{}::{}", header="text::label"), {"delimiter": "::"}, ROWS, []),
    "Excel in Europe": (EXCEL, {"input": "Text", "target": "Team"}, ROWS, ["2 empty columns", "semicolon"]),
    "lines of separators": (lines("{};{}", header="text;label") + ";\n;;;;\n;\n", {}, ROWS, ["3 empty rows"]),
    "separators after each row": (lines("{},{},", header="text,label"), {}, ROWS, ["60 rows end in empty"]),
    "blank before quotes": (lines('{1}, "{0}"', COMMAS, "label, text"), {}, COMMAS, ["blanks before"]),
    "blank before quotes without need": (lines('{1}, "{0}"', header="label, text"), {}, ROWS, ["blanks before"]),
    "backslashes": (
        lines("{}", [('"' + t.replace('"', '\\"') + f'",{y}', "") for t, y in SPEECH], "text,label"), {}, SPEECH,
        ["backslash"],
    ),
    "quotes that are not doubled": (lines('"{}, a "good" one",{}', header="text,label"), {},
                                    [(f'{t}, a "good" one', y) for t, y in ROWS], ["not doubled"]),
    "single quotes": (lines("'{}',{}", COMMAS, "text,label"), {}, COMMAS, ["quoted with '"]),
    "quotes as characters": (
        lines('"{}" it said,{}', header="text,label"), {}, [(f'"{t}" it said', y) for t, y in ROWS], ["plain"],
    ),
    "pandas' index": ("".join(f"{n},{t},{y}\n" for n, t, y in [("", "text", "label"), *((n, *r) for n, r in
                      enumerate(ROWS))]), {}, ROWS, ["not used: column 1"]),
    "R's row names": (
        "text,label\n" + "".join(f"{n},{t},{y}\n" for n, (t, y) in enumerate(ROWS, 1)), {}, ROWS, ["numbered"],
    ),
    "files put together": (lines("{},{}", header="text,label") + "text,label\nlast one,sales\n", {},
                           [*ROWS, ("last one", "sales")], ["repeats the header"]),
    "old Macintosh": (lines("{},{}", header="text,label", end="\r"), {}, ROWS, []),
    "doubled line ends": (lines("{},{}", header="text,label", end="\r\r\n"), {}, ROWS, []),
    "blank lines": (lines("{},{}\n\n", header="text,label\n\n"), {}, ROWS, []),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_dialect(case, tmp_path):
    content, flags, rows, words = CASES[case]
    found = examine(tmp_path, "d.csv", content, **flags)
    assert pairs(found) == sorted(rows)
    for word in words:
        assert word in told(found)


def test_stray_quotes_swallow_nothing(tmp_path):
    """A quote that opens in one row and one that closes twenty rows later are characters: all rows are there."""
    rows = [(f"{chr(34) * (n == 5)}{t}{chr(34) * (n == 30)}", y) for n, (t, y) in enumerate(ROWS)]
    for name, mark in (("d.tsv", "\t"), ("d.csv", ",")):
        found = examine(tmp_path, name, lines("{}" + mark + "{}", rows, f"text{mark}label"))
        assert pairs(found) == sorted(rows)
        assert "plain characters" in told(found)


def test_long_texts_in_quotes_stay_whole(tmp_path):
    rows = [(f'{text}\n\nsecond, "quoted" part\nthird', team) for text, team in ROWS]
    out = io.StringIO()
    csv.writer(out).writerows([("text", "label"), *rows])
    found = examine(tmp_path, "d.csv", out.getvalue())
    assert pairs(found) == sorted(rows)
    assert "60 rows hold line ends" in told(found)
    assert examples(found)[0].origin == "d.csv:2"


def test_a_line_end_whose_parts_look_like_rows_stays_in_its_field(tmp_path):
    rows = [(f"{t}\nGood day, bye" if n % 9 == 0 else t, y) for n, (t, y) in enumerate(ROWS)]
    out = io.StringIO()
    csv.writer(out).writerows([("label", "text"), *((y, t) for t, y in rows)])
    assert pairs(examine(tmp_path, "d.csv", out.getvalue())) == sorted(rows)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (lines("{},{}", header="text,label") + "x,y,z\n", ["d.csv:62", "3 fields", "--skip-bad"]),
        ("My export of May\n" + lines("{},{}", header="text,label"), ["d.csv:1", "title"]),
        (lines('"{}",{}', COMMAS, "text,label") + 'x,"open, really\n', ["d.csv:62", "never closed"]),
        (lines("{},{}", header="text,text"), ["d.csv:1", "twice"]),
        (b"PK\x03\x04 and so on", ["Excel"]),
        (b"<!DOCTYPE html><table>", ["HTML"]),
        (b"\xd0\xcf\x11\xe0", [".xls"]),
    ],
)
def test_what_does_not_fit_is_refused(content, words, tmp_path):
    with pytest.raises(UserError) as caught:
        examine(tmp_path, "d.csv", content)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("name", ["d.xlsx", "d.ods", "d.zip", "d.pkl", "d.sqlite", "d.xml", "d.dta"])
def test_formats_that_are_not_read_are_refused_by_name(name, tmp_path):
    with pytest.raises(UserError, match=r"save it as|unpack it|export the table|save its rows"):
        examine(tmp_path, name, b"anything")


def test_a_file_of_one_column_keeps_quoted_fields_as_rows_of_their_own(tmp_path):
    texts = ["plain", "commas, as in speech", 'he said "no", twice', "two\nlines", "plain again", "bye, then"]
    out = io.StringIO()
    csv.writer(out).writerows([["text"], *([text] for text in texts)])
    (tmp_path / "new.csv").write_text(out.getvalue(), newline="")
    assert [row.fields["text"] for row in read(tmp_path / "new.csv").rows] == texts
