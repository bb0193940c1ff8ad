"""Show a finished run again and rebuild its report.html; or write the same as Markdown or JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from whichway.cli.flags import Plain


def report(
    run: Annotated[Path, Argument(help="A finished run folder.")],
    md: Annotated[bool, Option("--md", help="Markdown instead of the page.")] = False,
    json: Annotated[bool, Option("--json", help="One JSON object instead of the page.")] = False,
    encoder: Annotated[
        str | None, Option(help="Cluster the test rows anew by this sentence encoder, for groups that fail together.")
    ] = None,
    out: Annotated[
        Path | None, Option(help="File to write; default: report.html in the run folder, or standard output.")
    ] = None,
    plain: Plain = False,
) -> None:
    """Rebuild report.html from the run folder and show the verdict; or print the report as Markdown or JSON."""
    from whichway.cli.progress import show
    from whichway.errors import OptionError
    from whichway.report import html
    from whichway.runs.folder import json_text
    from whichway.runs.run import read

    if md and json:
        raise OptionError("--md and --json exclude each other: ask for one of them.")
    finished = read(run)
    if encoder is not None:
        from whichway.app.configure import backends
        from whichway.app.row_clusters import cluster_rows

        known = backends()
        cluster_rows(finished, known, known["encoder"].weights(encoder))
    if md or json:
        from whichway.report.facts import facts
        from whichway.report.markdown import markdown

        text = markdown(finished) if md else json_text(facts(finished))
        if out is None:
            print(text, end="")
        else:
            html.write_file(text, out)
        return
    if out is None:
        html.write(finished)
    else:
        html.write_page(finished, out)
    show(finished, out, plain)
