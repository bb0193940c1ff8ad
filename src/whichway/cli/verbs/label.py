"""A local page on which unlabelled rows get labels by keys, those that teach most first."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from whichway.app.labelling.label_pool import SHARE


def label(
    data: Annotated[Path, Argument(help="The rows: CSV, TSV, JSON, JSON lines, Parquet or Arrow.")],
    input: Annotated[  # noqa: A002 - the flag's own word
        list[str] | None, Option(help="Column with the text; repeat it for several. Default: found by its name.")
    ] = None,
    target: Annotated[str, Option(help="Column for the labels; labels that it has already count.")] = "label",
    labels: Annotated[
        str, Option(help="The labels, with commas, in the order of their keys; others can be added.")
    ] = "",
    out: Annotated[
        Path | None, Option(help="The labelled rows: .csv, .tsv or .jsonl. Default: DATA-labelled beside the data.")
    ] = None,
    run: Annotated[Path | None, Option(help="A finished run whose winner suggests labels.")] = None,
    by: Annotated[str | None, Option(help="Who labels, for the file. Default: the user of this machine.")] = None,
    random: Annotated[
        float, Option(help="Share of the labels on rows drawn at random: these may test, the others only train.")
    ] = SHARE,
    encoder: Annotated[
        str, Option(help="Sentence encoder that compares rows: default (of models.yaml), a name, a folder, or words.")
    ] = "default",
    encoding: Annotated[str | None, Option(help="Encoding of the file, where it is not UTF-8: cp1252.")] = None,
    delimiter: Annotated[str | None, Option(help="Separator of CSV and TSV, such as ';'; default: found.")] = None,
    port: Annotated[int, Option(min=0, max=65535, help="Port to listen on; 0: any free one.")] = 0,
) -> None:
    """Label rows on a page on this machine, by keys; stop with Ctrl-C, and go on with the same command."""
    import secrets

    from whichway.app.labelling.label_journal import alone
    from whichway.app.labelling.label_pool import PoolColumns
    from whichway.app.labelling.start_labelling import LabellingRequest, start_labelling
    from whichway.tasks.spec import words_of
    from whichway.tasks.table import ReadOptions
    from whichway.web.label_pages import label_site
    from whichway.web.page_server import serve_page

    columns, reading = PoolColumns(tuple(input or ()), target), ReadOptions(encoding, delimiter)
    request = LabellingRequest(data, columns, words_of(labels), out, run, by, random, encoder, reading=reading)
    with alone(request.file):
        session = start_labelling(request, lambda line: print(line, flush=True))
        token = secrets.token_urlsafe(24)
        serve_page(label_site(session, token), port, token)
    for line in session.summary():
        print(line)
