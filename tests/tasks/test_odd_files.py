"""Files as people really have them: each is read with exactly its rows, or refused with its place and the way out."""

from __future__ import annotations

import bz2
import datetime
import decimal
import gzip
import io
import json
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as arrow
import pyarrow.feather as feather
import pyarrow.parquet as parquet
import pytest
from files_kit import ROWS, TEAMS, examine, jsonl, lines, pairs, told

from whichway import tasks
from whichway.cli import main
from whichway.errors import UserError

READ = sorted(ROWS)
HEAD = "text,label"
PLAIN = lines("{},{}", header=HEAD)


def with_labels(*labels: str) -> list[tuple[str, str]]:
    return [(text, labels[n % len(labels)]) for n, (text, _) in enumerate(ROWS)]


def in_order(*labels: str) -> list[tuple[str, str]]:
    return sorted(with_labels(*labels))


def csv_of(pairs_of: list[tuple[str, str]], mark: str = ",") -> str:
    return lines("{}" + mark + "{}", pairs_of, header=f"text{mark}label")


def packed(table: arrow.Table, write: Callable[[Any, Any], Any] = parquet.write_table) -> bytes:
    out = io.BytesIO()
    write(table, out)
    return out.getvalue()


def table_of(labels: arrow.Array | list[Any], **more: Any) -> arrow.Table:
    return arrow.table({"text": [text for text, _ in ROWS], "label": labels, **more})


def zipped(name: str, content: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(name, content)
    return out.getvalue()


def page(rows: list[tuple[str, str]]) -> str:
    cells = "".join(f"<tr><td>{t}</td><td>{y}</td></tr>" for t, y in rows)
    return f"<table><tr><th>text</th><th>label</th></tr>{cells}</table>"


def replaced(line: int, text: str, of: str = PLAIN) -> str:
    """A file with another line, counted from 1."""
    parts = of.split("\n")
    parts[line - 1] = text
    return "\n".join(parts)


NUMBERS = [(text, f"{n // 2 + 1},{n % 10}5") for n, (text, _) in enumerate(ROWS)]
DAYS = [(text, f"{2000 + n}-01-{n % 28 + 1:02d}") for n, (text, _) in enumerate(ROWS)]
LONG = [(f'"{text}\r\nsecond line; ""quoted"", and more"', label) for text, label in ROWS]
SPOKEN = sorted((f'{text}\nsecond line; "quoted", and more', label) for text, label in ROWS)

# name -> (file, content, what is read, a part of what is said about it, flags)
READABLE: dict[str, tuple[str, str | bytes, list[tuple[str, str]], str, dict[str, Any]]] = {
    # spreadsheets saved as text
    "a byte order mark": ("d.csv", "\ufeff" + PLAIN, READ, "", {}),
    "Unicode text of Excel": ("d.csv", csv_of(ROWS, "\t").encode("utf-16"), READ, "utf-16", {}),
    "UTF-16, the other way round": ("d.tsv", b"\xfe\xff" + csv_of(ROWS, "\t").encode("utf-16-be"), READ, "", {}),
    "UTF-16 without a mark": ("d.csv", PLAIN.encode("utf-16-le"), READ, "there is no byte order mark", {}),
    "semicolons": ("d.csv", csv_of(ROWS, ";"), READ, "separator: semicolon", {}),
    "semicolons and commas in texts": (
        "d.csv", csv_of([(f"{t}, and, so on", y) for t, y in ROWS], ";"),
        sorted((f"{t}, and, so on", y) for t, y in ROWS), "separator: semicolon", {}),
    "decimal commas": ("d.csv", csv_of(NUMBERS, ";"), sorted((t, n.replace(",", ".")) for t, n in NUMBERS),
                       "1,05 is 1.05", {"target_type": "number"}),
    "sep= and quotes": ("d.csv", "sep=;\r\n" + csv_of(ROWS, ";").replace("\n", "\r\n"), READ,
                        "names the separator", {}),
    "an old Mac's line ends": ("d.csv", PLAIN.replace("\n", "\r"), READ, "", {}),
    "line ends of two kinds": (
        "d.csv", "".join(f"{line}{end}" for line, end in zip(PLAIN.splitlines(), ["\r\n", "\n"] * 31, strict=False)),
        READ, "", {}),
    "cells of several lines": ("d.csv", lines("{},{}", LONG, header=HEAD), SPOKEN, "60 rows hold line ends", {}),
    "empty columns between": ("d.csv", lines("{},,{},", header="text,,label,"), READ, "", {}),
    "empty rows at the end": ("d.csv", PLAIN + ",\n" * 40 + " , \n", READ, "41 empty rows are left out", {}),
    "blank lines of blanks": ("d.csv", PLAIN + "   \n\t\n", READ, "2 empty rows are left out", {}),
    "a DOS end of file": ("d.csv", PLAIN + "\x1a", READ, "", {}),
    "an index of pandas": ("d.csv", lines("0,{},{}", header=",text,label"), READ, "", {}),
    "an unnamed column of pandas": ("d.csv", lines("0,{},{}", header="Unnamed: 0,text,label"), READ, "", {}),
    "every field in quotes": ("d.csv", lines('"{}","{}"', header='"text","label"'), READ, "", {}),
    "quotes around the header only": ("d.csv", lines("{},{}", header='"text","label"'), READ, "", {}),
    "names with blanks and capitals": ("d.csv", lines("{},{}", header=" Text , LABEL "), READ, "", {}),
    "a name with a blank that does not break": ("d.csv", lines("{},{}", header="text,label\u00a0"), READ, "", {}),
    "headers of files put together": ("d.csv", PLAIN + HEAD + "\n" + csv_of([("a last row", "sales")])[len(HEAD) + 1 :],
                                      sorted([*ROWS, ("a last row", "sales")]), "1 row repeats the header", {}),
    "files with marks put together": (
        "d.csv", "\ufeff" + PLAIN + "\ufeff" + csv_of([("a last row", "sales")]),
        sorted([*ROWS, ("a last row", "sales")]), "1 row repeats the header", {}),
    "headers in other capitals put together": (
        "d.csv", PLAIN + csv_of([("a last row", "sales")]).replace(HEAD, "Text,Label"),
        sorted([*ROWS, ("a last row", "sales")]), "1 row repeats the header", {}),
    "two rows of headings": ("d.csv", "Ticket,,\n" + lines("1,{},{}", header="no,text,label"), READ, "left out", {}),
    "a survey's three headings": (
        "d.csv", lines("{},{}", header='text,label\nWhat happened?,Which team?\n"{""ImportId"":""QID1""}",'
                       '"{""ImportId"":""QID2""}"'), READ, "2 rows below the column names", {}),
    "a total below the rows": ("d.csv", lines("{},{},3", header="text,label,minutes") + "Total,,180\n", READ,
                               "a row of totals", {}),
    "a total, and its count in the label": ("d.csv", PLAIN + "Gesamt,60\n", READ, "a row of totals", {}),
    "a table of Markdown": ("d.csv", lines("| {} | {} |", header="| text | label |\n|------|:-----:|"), READ,
                            "a line of dashes", {}),
    "formulas that keep text": ("d.csv", lines('"=""{}""",{}', header=HEAD), READ, "hold the text alone", {}),
    "bars": ("d.csv", csv_of(ROWS, "|"), READ, "vertical bar", {}),
    "tabs in a file called .csv": ("d.csv", csv_of(ROWS, "\t"), READ, "separator: tab", {}),
    "quotes in tabs": ("d.tsv", csv_of([(f'{t} 5" "x', y) for t, y in ROWS], "\t"),
                       sorted((f'{t} 5" "x', y) for t, y in ROWS), "", {}),
    "quotes that never close": ("d.csv", replaced(30, '"it never ends,sales'),
                                sorted([*ROWS[:28], ('"it never ends', "sales"), *ROWS[29:]]), "plain characters", {}),
    "control signs in texts": ("d.csv", csv_of([(f"{t} \x0b\x85\u2028 x", y) for t, y in ROWS]),
                               sorted((f"{t} \x0b\x85\u2028 x", y) for t, y in ROWS), "", {}),
    "emoji and other letters": ("d.csv", csv_of([(f"{t} 🙂 Ж 漢 ÷", y) for t, y in ROWS]),
                                sorted((f"{t} 🙂 Ж 漢 ÷", y) for t, y in ROWS), "", {}),
    "a code page that is named": ("d.csv", csv_of([(f"{t} Größe", y) for t, y in ROWS]).encode("cp1252"),
                                  sorted((f"{t} Größe", y) for t, y in ROWS), "as you said", {"encoding": "cp1252"}),
    # labels
    "labels in several spellings": ("d.csv", csv_of(with_labels("Billing", "billing", "Billing ", "sales")),
                                    sorted((t, "sales" if y == "sales" else "Billing")
                                           for t, y in with_labels("Billing", "b", "b", "sales")),
                                    "taken as one", {}),
    "zeros in front": ("d.csv", csv_of(with_labels("007", "010", "100")), in_order("007", "010", "100"), "", {}),
    "numbers as labels": ("d.csv", csv_of(with_labels("1", "2", "5")), in_order("1", "2", "5"), "", {}),
    "numbers that a missing value made floats": (
        "d.csv", csv_of(with_labels("1.0", "2.0", "3.0")), in_order("1", "2", "3"), "numbers like 1.0", {}),
    "labels with decimal commas": ("d.csv", csv_of(with_labels("0,5", "1,0", "1,5"), ";"),
                                   in_order("0,5", "1,0", "1,5"), "", {}),
    "truth in German": ("d.csv", csv_of(with_labels("WAHR", "FALSCH"), ";"), in_order("WAHR", "FALSCH"), "", {}),
    "truth in French": ("d.csv", csv_of(with_labels("VRAI", "FAUX")), in_order("VRAI", "FAUX"), "", {}),
    "truth in Spanish": ("d.csv", csv_of(with_labels("VERDADERO", "FALSO")), in_order("VERDADERO", "FALSO"), "", {}),
    "truth in Russian": ("d.csv", csv_of(with_labels("ИСТИНА", "ЛОЖЬ")), in_order("ИСТИНА", "ЛОЖЬ"), "", {}),
    "truth in capitals and not": ("d.csv", csv_of(with_labels("TRUE", "False", "TRUE")),
                                  in_order("TRUE", "False", "TRUE"), "", {}),
    "yes and no": ("d.csv", csv_of(with_labels("yes", "no", "on")), in_order("yes", "no", "on"), "", {}),
    "dates as labels": ("d.csv", csv_of(with_labels("2024-01-05", "2024-02-05")),
                        in_order("2024-01-05", "2024-02-05"), "", {}),
    "dates as answers": ("d.csv", csv_of(DAYS), sorted(DAYS), "", {}),
    "labels with blanks": ("d.csv", csv_of(with_labels("new order", "lost parcel")),
                           in_order("new order", "lost parcel"), "", {}),
    "huge ids": ("d.jsonl", jsonl([{"id": 12345678901234567890 + n, "text": t, "label": y}
                                   for n, (t, y) in enumerate(ROWS)]), READ, "", {}),
    "huge numbers as labels": ("d.jsonl", jsonl([{"text": t, "label": (9007199254740993, 9007199254740995)[n % 2]}
                                                 for n, (t, _) in enumerate(ROWS)]),
                               in_order("9007199254740993", "9007199254740995"), "", {}),
    "thousands divided by blanks": (
        "d.csv", csv_of([(t, f"{n + 1}\u00a0{n:03d},50") for n, (t, _) in enumerate(ROWS)], ";"),
        sorted((t, f"{n + 1}{n:03d}.50") for n, (t, _) in enumerate(ROWS)), "what divides thousands", {}),
    "losses in parentheses": (
        "d.csv", csv_of([(t, f"({n}.25)" if n % 2 else f"{n}.25") for n, (t, _) in enumerate(ROWS)]),
        sorted((t, f"{'-' * (n % 2)}{n}.25") for n, (t, _) in enumerate(ROWS)), "stands around", {}),
    "numbers in parentheses that repeat": ("d.csv", csv_of(with_labels("(1)", "(2)")), in_order("(1)", "(2)"), "", {}),
    "numbers that are longer than a float": (
        "d.csv", csv_of([(t, f"{10**18 + n}") for n, (t, _) in enumerate(ROWS)]),
        sorted((t, f"{10**18 + n}") for n, (t, _) in enumerate(ROWS)), "token_f1", {}),
    "numbers in words, as the user says": (
        "d.csv", csv_of([(t, f"about {n}" if n % 2 else f"{n}") for n, (t, _) in enumerate(ROWS)]),
        sorted((t, f"about {n}" if n % 2 else f"{n}") for n, (t, _) in enumerate(ROWS)), "numeric",
        {"target_type": "number"}),
    "times": ("d.csv", csv_of([(t, f"{n % 24:02d}:{n:02d}") for n, (t, _) in enumerate(ROWS)]),
              sorted((t, f"{n % 24:02d}:{n:02d}") for n, (t, _) in enumerate(ROWS)), "exact_match", {}),
    "choices that end in a separator": (
        "d.csv", csv_of(with_labels("a;", "a;b;", "b;", "c;a;")), in_order("a", "a, b", "b", "a, c"),
        "several labels a row", {}),
    "a row of types": ("d.csv", lines("{},{}", header=HEAD + "\nstring,category"), READ, "a row of types", {}),
    "letters that were lost before": (
        "d.csv", csv_of([(f"{t} fÃ¼r donâ€™t", y) for t, y in ROWS]), sorted((f"{t} fÃ¼r donâ€™t", y) for t, y in ROWS),
        "60 texts look like UTF-8 that was read as another encoding ('Ã¼'", {}),
    "letters that were replaced": (
        "d.csv", csv_of([(f"{t} f\ufffdr", y) for t, y in ROWS]), sorted((f"{t} f\ufffdr", y) for t, y in ROWS),
        "U+FFFD", {}),
    "letters with accents": ("d.csv", csv_of([(f"{t} São João, Ânimo — “é”", y) for t, y in ROWS], ";"),
                             sorted((f"{t} São João, Ânimo — “é”", y) for t, y in ROWS), "", {}),
    "numbers as JSON writes them": (
        "d.jsonl", "\n".join(f'{{"text": "{t}", "label": {y}}}' for t, y in with_labels("1.10", "1.1", "2.50", "1e3")),
        in_order("1.10", "1.1", "2.50", "1e3"), "", {}),
    "a choice of several in a form": (
        "d.csv", lines('{},"{}"', with_labels("a, b", "a", "b, a", "c", "b, c"), header="text,label"),
        in_order("a, b", "a", "a, b", "c", "b, c"), "several labels a row", {}),
    # JSON
    "JSON lines with a mark and Windows' line ends": (
        "d.jsonl", "\ufeff" + jsonl([{"text": t, "label": y} for t, y in ROWS]).replace("\n", "\r\n\r\n"),
        READ, "", {}),
    "JSON lines, indented": (
        "d.jsonl", "\n".join(json.dumps({"text": t, "label": y}, indent=2) for t, y in ROWS), READ, "", {}),
    "keys in other orders, and more of them": (
        "d.jsonl", jsonl([{"label": y, "text": t, f"extra{n % 3}": None} if n % 2 else {"text": t, "label": y}
                          for n, (t, y) in enumerate(ROWS)]), READ, "", {}),
    "truth as JSON has it, and as text": (
        "d.jsonl", jsonl([{"text": t, "label": (True, "True", False)[n % 3]} for n, (t, _) in enumerate(ROWS)]),
        in_order("True", "True", "false"), "taken as one", {}),
    "line signs inside JSON": ("d.jsonl", jsonl([{"text": f"{t}\u2028\x85 x", "label": y} for t, y in ROWS]),
                               sorted((f"{t}\u2028\x85 x", y) for t, y in ROWS), "", {}),
    "doccano": ("d.jsonl", jsonl([{"id": n, "text": t, "label": [y], "Comments": []} for n, (t, y) in enumerate(ROWS)]),
                READ, "lists of one label", {}),
    "Label Studio's small JSON": ("d.json", json.dumps([{"text": t, "id": n, "label": y, "annotator": 1, "lead": 2.5}
                                                        for n, (t, y) in enumerate(ROWS)]), READ, "", {}),
    "records of pandas": ("d.json", json.dumps([{"text": t, "label": y} for t, y in ROWS], indent=1), READ, "", {}),
    "ShareGPT": ("d.json", json.dumps([{"id": str(n), "conversations": [{"from": "human", "value": t},
                 {"from": "gpt", "value": y}]} for n, (t, y) in enumerate(ROWS)]), READ, "", {}),
    "Alpaca": ("d.json", json.dumps([{"instruction": "Which team?", "input": t, "output": y} for t, y in ROWS]),
               READ, "", {}),
    # typed files
    "Parquet with a dictionary": (
        "d.parquet", packed(table_of(arrow.array([y for _, y in ROWS]).dictionary_encode())), READ, "", {}),
    "Parquet with the index of pandas": (
        "d.parquet", packed(table_of([y for _, y in ROWS], __index_level_0__=list(range(60)))), READ, "", {}),
    "Parquet with whole floats": ("d.parquet", packed(table_of([float(n % 3) for n in range(60)])),
                                  in_order("0", "1", "2"), "numbers like 1.0", {}),
    "Parquet with truth": ("d.parquet", packed(table_of([n % 2 == 0 for n in range(60)])),
                           in_order("true", "false"), "", {}),
    "Parquet with days": (
        "d.parquet", packed(table_of([datetime.date(2024, n % 2 + 1, 5) for n in range(60)])),
        in_order("2024-01-05", "2024-02-05"), "", {}),
    "Parquet with decimals": (
        "d.parquet", packed(table_of([decimal.Decimal("1.50"), decimal.Decimal("2.00"), decimal.Decimal("0.10")] * 20)),
        in_order("1.50", "2.00", "0.10"), "", {}),
    "Parquet with images beside": (
        "d.parquet", packed(table_of([y for _, y in ROWS], image=[b"\xff\xd8"] * 60)), READ, "columns of bytes", {}),
    "Feather": ("d.feather", packed(table_of([y for _, y in ROWS]), feather.write_feather), READ, "", {}),
    # packed
    "gzip": ("d.csv.gz", gzip.compress(PLAIN.encode()), READ, "", {}),
    "gzips put together": (
        "d.csv.gz", gzip.compress(PLAIN.encode()) + gzip.compress(csv_of([("a last row", "sales")]).encode()),
        sorted([*ROWS, ("a last row", "sales")]), "1 row repeats the header", {}),
    "bzip2": ("d.jsonl.bz2", bz2.compress(jsonl([{"text": t, "label": y} for t, y in ROWS]).encode()), READ, "", {}),
    "xz": ("d.tsv.xz", lzma.compress(csv_of(ROWS, "\t").encode()), READ, "", {}),
}  # fmt: skip


@pytest.mark.parametrize("name", READABLE)
def test_it_is_read_right(name: str, tmp_path: Path) -> None:
    file, content, rows, note, flags = READABLE[name]
    task = examine(tmp_path, file, content, **flags)
    assert pairs(task) == rows
    assert note in told(task)


# name -> (file, content, what the refusal says)
REFUSED: dict[str, tuple[str, str | bytes, str]] = {
    "a workbook": ("d.xlsx", zipped("xl/workbook.xml", "<x/>"), r"d\.xlsx: .*a spreadsheet: save it as CSV"),
    "a workbook called .csv": ("d.csv", zipped("xl/workbook.xml", "<x/>"), r"d\.csv: .*Excel workbook.*CSV"),
    "an old workbook called .csv": ("d.csv", b"\xd0\xcf\x11\xe0" + b"\0" * 600, r"d\.csv: .*\.xls"),
    "an OpenDocument table": ("d.ods", zipped("content.xml", "<x/>"), "a spreadsheet: save it as CSV"),
    "a zip": ("d.zip", zipped("d.csv", PLAIN), "an archive: unpack it"),
    "a zip called .csv": ("d.csv", zipped("d.csv", PLAIN), "a ZIP archive"),
    "a page": ("d.html", page(ROWS), "a document: save its rows"),
    "a page called .xls": ("d.xls", page(ROWS), "a spreadsheet: save it as CSV"),
    "a page called .csv": ("d.csv", page(ROWS), r"a web page \(HTML\)"),
    "a page with a mark called .csv": ("d.csv", "\ufeff\n  <html><body>" + page(ROWS), r"a web page \(HTML\)"),
    "a spreadsheet in XML called .csv": ("d.csv", '<?xml version="1.0"?><Workbook/>', "XML.*Save the table as CSV"),
    "zero bytes": ("d.csv", replaced(7, "a\0b,sales"), r"d\.csv:7: a zero byte"),
    "half an encoding": ("d.csv", PLAIN.encode() + "Größe,sales\n".encode("cp1252"), r"d\.csv:62: not UTF-8"),
    "an error of Excel for a label": ("d.csv", replaced(9, "some words,#N/A"), r"d\.csv:9: the target .*missing value"),
    "an error of Excel for a text": ("d.csv", replaced(9, "#NAME?,sales"), r"d\.csv:9: the input .*#NAME\?"),
    "a null of MySQL": ("d.tsv", replaced(9, "some words\t\\N", csv_of(ROWS, "\t")), r"d\.tsv:9: the target .*missing"),
    "an empty label": ("d.csv", replaced(5, "some words,"), r"d\.csv:5: the target .*is empty"),
    "an empty text": ("d.csv", replaced(5, '"  ",sales'), r"d\.csv:5: the input .*is empty"),
    "a broken quote": (
        "d.csv", lines("{},{}", [*LONG, ('"it never ends', "sales")], header=HEAD), r"d\.csv:122: a quote opens"),
    "too many fields": ("d.csv", replaced(12, "a, b,sales"), r"d\.csv:12: 3 fields where the header has 2"),
    "too few fields": ("d.csv", replaced(12, "alone"), r"d\.csv:12: 1 fields"),
    "a note below the rows": ("d.csv", PLAIN + "Source: the help desk\n", r"d\.csv:62: 1 fields"),
    "no header": ("d.csv", lines("{},{}"), r"d\.csv:1: no column has a known name.*add one"),
    "a word among numbers": (
        "d.csv", csv_of([(t, "n/a" if n == 7 else f"{n}.5") for n, (t, _) in enumerate(ROWS)]),
        r"d\.csv:9: the target 'n/a' is no number, as nearly all others are"),
    "decimal commas among decimal points": (
        "d.csv", csv_of([(t, f"{n},5" if n == 3 else f"{n}.5") for n, (t, _) in enumerate(ROWS)], ";"),
        r"d\.csv:5: the target '3,5' has a decimal comma"),
    "a split of another name": (
        "d.csv", lines("{},{},train", header="text,label,split") + "a b,sales,holdout\n",
        r"d\.csv:62: column 'split' says 'holdout'.*split: none"),
    "columns in another order put together": (
        "d.csv", PLAIN + lines("{1},{0}", header="label,text"), r"d\.csv:62: the column names again, in another order"),
    "a column twice": ("d.csv", lines("{0},{1},{1}", header="text,label,label"), r"d\.csv:1: .*'label' twice"),
    "two columns of one name but for capitals": (
        "d.csv", lines("{0},{1},other{1}", header="text,label,Label"), "which column is the target"),
    "a table of two characters": ("d.csv", csv_of(ROWS, "~~"), "--delimiter"),
    "columns of fixed width": ("d.txt", lines("{:<60}{}"), "plain text"),
    "a table called .txt": ("d.txt", PLAIN, r"name it \.csv"),
    "output of psql": ("d.csv", lines(" {} | {} ", header=" text | label \n------+------") + "(60 rows)\n",
                       r"d\.csv:2: "),
    "output of mysql": ("d.csv", lines("| {} | {} |", header="+----+----+\n| text | label |\n+----+----+"), r"d\.csv:"),
    "the file of R": ("d.rds", b"\x1f\x8bx", "not read: save it as CSV"),
    "lines with other keys": ("d.jsonl", jsonl([{"text": t, ("label" if n != 6 else "category"): y}
                                                for n, (t, y) in enumerate(ROWS)]), r"d\.jsonl:7: the target"),
    "a line that is a list": ("d.jsonl", jsonl([{"text": t, "label": y} for t, y in ROWS]) + '\n["a", "b"]\n',
                              r"d\.jsonl:61: a row must be a JSON object"),
    "a line that is cut off": ("d.jsonl", jsonl([{"text": t, "label": y} for t, y in ROWS])[:-9], r"d\.jsonl:60: "),
    "a mark inside": ("d.jsonl", jsonl([{"text": t, "label": y} for t, y in ROWS]).replace("\n{", "\n\ufeff{", 1),
                      r"d\.jsonl:2: "),
    "NaN for a label": ("d.jsonl", jsonl([{"text": t, "label": y if n != 4 else float("nan")}
                                          for n, (t, y) in enumerate(ROWS)]), r"d\.jsonl:5: the target .*is empty"),
    "a null among labels": ("d.parquet", packed(table_of([None, *(y for _, y in ROWS[1:])])),
                            r"d\.parquet:1: the target"),
    "a null inside an array": ("d.json", json.dumps([*({"text": t, "label": y} for t, y in ROWS), None]),
                               r"d\.json:1: a row must be a JSON object"),
    "an id that stands twice": ("d.csv", lines("1.23457E+17,{},{}", header="id,text,label"),
                                r"d\.csv:3: the id .*line 2"),
    "SQuAD": ("d.json", json.dumps({"version": "1.1", "data": [{"title": t, "paragraphs": [{"context": t, "qas": []}]}
                                                              for t, _ in ROWS]}), "lists of objects"),
    "utterances of LUIS": ("d.json", json.dumps({"utterances": [{"text": t, "intent": y} for t, y in ROWS]}),
                           r"d\.json"),
    "chats of ChatGPT": ("d.json", json.dumps([{"title": t, "mapping": {"a": {"message": None}}} for t, _ in ROWS]),
                         r"d\.json.*--target"),
    "messages of Slack": ("d.json", json.dumps([{"type": "message", "user": "U1", "text": t, "ts": str(n)}
                                                for n, (t, _) in enumerate(ROWS)]), "which column is the target"),
    "lines of WhatsApp": ("d.txt", lines("12.05.24, 18:01 - {1}: {0}"), "plain text"),
    "a task of a crowd": ("d.tsv", csv_of(ROWS, "\t").replace("text\tlabel", "INPUT:text\tOUTPUT:label"),
                          r"d\.tsv:1: no column has a known name.*--input"),
    "a file that is cut off": ("d.csv.gz", gzip.compress(PLAIN.encode())[:-9], r"d\.csv\.gz: cannot be read"),
    "a damaged Parquet file": ("d.parquet", packed(table_of([y for _, y in ROWS]))[:-40],
                               r"d\.parquet: not a readable"),
    "nothing": ("d.csv", "", r"d\.csv: the file is empty"),
    "a header alone": ("d.csv", HEAD + "\n", r"d\.csv: no rows"),
    "blanks alone": ("d.jsonl", " \n\n", r"d\.jsonl: the file is empty"),
    "another kind of file": ("d.sql", "INSERT INTO t VALUES (1);", r"unknown extension '\.sql'"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_with_its_place(name: str, tmp_path: Path) -> None:
    file, content, message = REFUSED[name]
    with pytest.raises(UserError, match=message):
        examine(tmp_path, file, content)


def test_a_refusal_is_exit_code_2_and_no_traceback(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "d.csv").write_text(replaced(9, "some words,#N/A"))
    assert main(["check", "--data", str(tmp_path / "d.csv")]) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: ")
    assert "d.csv:9" in message
    assert "Traceback" not in message


def test_the_folder_that_spark_writes(tmp_path: Path) -> None:
    half = len(ROWS) // 2
    (tmp_path / "part-00000-a.csv").write_text(csv_of(ROWS[:half]))
    (tmp_path / "part-00001-b.csv").write_text(csv_of(ROWS[half:]))
    (tmp_path / "_SUCCESS").touch()
    with pytest.raises(UserError, match=r"part-00000"):
        tasks.examine(tasks.from_flags(data=tmp_path))


def test_letters_with_accents_are_not_told(tmp_path: Path) -> None:
    file, content, _, _, _ = READABLE["letters with accents"]
    assert "another encoding" not in told(examine(tmp_path, file, content))


def test_a_word_like_total_inside_a_text_stays(tmp_path: Path) -> None:
    rows = [*ROWS, ("Total", "billing"), ("The total is 5", "sales")]
    assert pairs(examine(tmp_path, "d.csv", csv_of(rows))) == sorted(rows)


def test_numbers_are_labels_of_a_row_that_is_called_total(tmp_path: Path) -> None:
    """Where labels are numbers, a last text that is "sum" is a row like others."""
    rows = [*with_labels("1", "2", "3"), ("sum", "2")]
    assert pairs(examine(tmp_path, "d.csv", csv_of(rows))) == sorted(rows)


def test_the_battery_is_large() -> None:
    assert len(READABLE) + len(REFUSED) >= 110
    assert set(TEAMS) == {label for _, label in ROWS}
