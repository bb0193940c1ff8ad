"""Any table, written in any dialect, encoding and layout that we claim, is read back equal (property tests)."""

import bz2
import csv
import gzip
import io
import json
import tempfile
from pathlib import Path

import pyarrow as arrow
import pyarrow.parquet as parquet
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from whichway.tasks import near_duplicates, read
from whichway.tasks.table import ReadOptions

SETTINGS = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
NAMES = st.lists(
    st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,8}", fullmatch=True), min_size=2, max_size=5, unique_by=str.casefold
)
CELL = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc"), include_characters="\n\t"), max_size=30)
LETTERS = {
    "cp1252": "abc äöüß éèç ñ €", "cp1251": "abc привет мир ёж", "gb18030": "abc 你好 世界 发票",
    "cp932": "abc こんにちは 漢字",
    "cp949": "abc 안녕하세요", "cp1250": "abc žluťoučký kůň", "cp1253": "abc καλημέρα", "cp1254": "abc ığüşöç",
    "iso8859_15": "abc œuvre €", "koi8_r": "abc привет", "big5": "abc 發票 帳單",
}  # fmt: skip


@st.composite
def tables(draw, cells=CELL, least=2):
    """A header and rows; no row is empty throughout, or says what the header says."""
    header = draw(NAMES)
    row = st.lists(cells, min_size=len(header), max_size=len(header))
    rows = draw(st.lists(row, min_size=least, max_size=8))
    return header, [["x" + fields[0], *fields[1:]] for fields in rows]


def read_back(data: bytes, name: str, **options):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        table = read.read(path, ReadOptions(**options))
        return list(table.columns), [[row.fields[c] for c in table.columns] for row in table.rows]


def plain(header, rows):
    """The table as it is read: white space around fields left out, line ends LF."""
    return header, [[field.strip() for field in row] for row in rows]


@SETTINGS
@given(
    tables(),
    st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]),
    st.sampled_from(["", "sep", "trailing"]),
)
def test_csv(table, mark, quoting, end, encoding, habit):
    header, rows = table
    out = io.StringIO()
    if habit == "sep":
        out.write(f"sep={mark}{end}")
    more = [""] * 2 if habit == "trailing" else []
    writer = csv.writer(out, delimiter=mark, quoting=quoting, lineterminator=end)
    writer.writerows([[*row, *more] for row in (header, *rows)])
    assert read_back(out.getvalue().encode(encoding), "t.csv", delimiter=None) == plain(header, rows)


@SETTINGS
@given(tables(st.text("ab, ;|'\"", max_size=12)), st.sampled_from(["backslash", "single", "blank"]))
def test_other_quotes(table, kind):
    """Each way of quoting that is found by trying, where a comma inside a field makes it necessary."""
    header, rows = table
    rows = [[row[0] + ", y", *row[1:]] for row in rows]
    quote = {
        "backslash": lambda f: '"' + f.replace("\\", "\\\\").replace('"', '\\"') + '"',
        "single": lambda f: "'" + f.replace("'", "''") + "'",
        "blank": lambda f: '"' + f.replace('"', '""') + '"',
    }[kind]
    if kind == "backslash":
        rows = [[f'{row[0]} "q" z', *row[1:]] for row in rows]
    if kind == "single":  # a double quote at the start of a line's fields would be another dialect
        rows = [[f.replace('"', "") for f in row] for row in rows]
    join = ", " if kind == "blank" else ","
    text = "\n".join([",".join(header), *(join.join(quote(f) for f in row) for row in rows)]) + "\n"
    assert read_back(text.encode(), "t.csv") == plain(header, rows)


@SETTINGS
@given(st.data(), st.sampled_from(sorted(LETTERS)))
def test_encodings_that_are_named(data, encoding):
    header, rows = data.draw(tables(st.text(LETTERS[encoding] + '",;', max_size=20)))
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([header, *rows])
    assert read_back(out.getvalue().encode(encoding), "t.csv", encoding=encoding) == plain(header, rows)


@SETTINGS
@given(tables(), st.sampled_from(["lines", "pretty", "array", "data", "columns", "pandas", "split", "train"]))
def test_json(table, layout):
    header, rows = table
    dicts = [dict(zip(header, row, strict=True)) for row in rows]
    columns = {name: [d[name] for d in dicts] for name in header}
    text = {
        "lines": lambda: "\n".join(json.dumps(d, ensure_ascii=False) for d in dicts),
        "pretty": lambda: "\n".join(json.dumps(d, indent=1) for d in dicts),
        "array": lambda: json.dumps(dicts),
        "data": lambda: json.dumps({"data": dicts}, indent=2),
        "columns": lambda: json.dumps(columns),
        "pandas": lambda: json.dumps({n: {str(k): v for k, v in enumerate(vs)} for n, vs in columns.items()}),
        "split": lambda: json.dumps({"columns": header, "data": rows}),
        "train": lambda: json.dumps({"train": dicts[:1], "test": dicts[1:]}),
    }[layout]()
    name = "t.jsonl" if layout in ("lines", "pretty") else "t.json"
    assert read_back(text.encode(), name) == plain(header, rows)
    assert read_back(gzip.compress(text.encode()), f"{name}.gz") == plain(header, rows)


@SETTINGS
@given(tables(), st.sampled_from(["parquet", "arrow", "feather"]))
def test_columnar(table, kind):
    header, rows = table
    data = arrow.table({name: [row[n] for row in rows] for n, name in enumerate(header)})
    out = io.BytesIO()
    if kind == "parquet":
        parquet.write_table(data, out)
    else:
        new = arrow.ipc.new_stream if kind == "arrow" else arrow.ipc.new_file
        with new(out, data.schema) as sink:
            sink.write_table(data)
    assert read_back(out.getvalue(), f"t.{kind}") == plain(header, rows)


@SETTINGS
@given(tables(), st.sampled_from([gzip.compress, bz2.compress]))
def test_packed(table, pack):
    header, rows = table
    out = io.StringIO()
    csv.writer(out, delimiter="\t").writerows([header, *rows])
    end = {gzip.compress: "gz", bz2.compress: "bz2"}[pack]
    assert read_back(pack(out.getvalue().encode()), f"t.tsv.{end}") == plain(header, rows)


NUMBER = st.one_of(st.integers(-99, 99).map(float), st.floats(-1e6, 1e6, allow_nan=False))


@SETTINGS
@given(st.lists(st.one_of(NUMBER, st.none()), min_size=3, max_size=9))
def test_numbers_are_the_same_in_every_format(numbers):
    """A column of floats, written as CSV by pandas' rule, as JSON, as Parquet and as Arrow, is read as one."""
    texts = ["" if v is None else repr(v) for v in numbers]
    out = io.BytesIO()
    parquet.write_table(arrow.table({"a": ["x"] * len(numbers), "b": arrow.array(numbers, arrow.float64())}), out)
    forms = {
        "t.csv": ("a,b\n" + "".join(f"x,{t}\n" for t in texts)).encode(),
        "t.jsonl": "\n".join(json.dumps({"a": "x", "b": v}) for v in numbers).encode(),
        "t.parquet": out.getvalue(),
    }
    found = {name: read_back(data, name)[1] for name, data in forms.items()}
    assert found["t.csv"] == found["t.jsonl"] == found["t.parquet"]


TEXTS = st.lists(st.text("abcde fgé漢", min_size=1, max_size=60), min_size=2, max_size=30)


@SETTINGS
@given(TEXTS, st.randoms(use_true_random=False))
def test_near_pairs_are_those_that_a_comparison_of_all_gives(texts, rng):
    changed = [t[: (k := rng.randrange(len(t)))] + "z" + t[k + 1 :] for t in texts]
    skeletons = list(dict.fromkeys(near_duplicates.skeleton(t * rng.choice([1, 1, 9])) for t in [*texts, *changed]))
    sets = [near_duplicates.grams(text) for text in skeletons]
    wanted = [[j for j in range(i) if near_duplicates.near_grams(sets[i], sets[j])] for i in range(len(sets))]
    assert near_duplicates.earlier(skeletons) == wanted
