"""The page of all rules (docs/lint.md), made from the rules themselves: `python -m whichway.lint.page`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from whichway.lint.registry import Rule

HEAD = """# Lint rules

Made from the rules by `python -m whichway.lint.page > docs/lint.md`.

`whichway lint FILE... [--task TASK] [--measure]` checks prompts. A file is plain text with the row's place
marked (`{{input}}`), slots as YAML, chat messages as JSON, or a promptfoo configuration.

Kinds: **S** reads the prompt alone, **D** reads train and dev rows too (test rows only as hashes of word
sequences), **M** claims an effect that `--measure` measures on dev, paired, with an interval, **P** knows the
model: its tokenizer and chat template when it is local, what `--provider`, `--context`, `--reasoning` say
when it is hosted.

Exit code 1 when an error is left, 2 when the input is at fault, else 0. `# whichway: ignore PL008` in a
comment holds for its own line and the next one, `ignore-file` for the file, `--ignore PL008` for the call;
`--write-baseline FILE` accepts what is found now, `--baseline FILE` leaves it out; `--sarif FILE` writes
SARIF 2.1.0 for code hosts.
"""


def page(rules: Sequence[Rule]) -> str:
    """The page as Markdown: a table for each family, then a paragraph for each rule."""
    return "\n".join([HEAD, *_table(rules), "", *_paragraphs(rules)])


def _table(rules: Sequence[Rule]) -> Iterator[str]:
    yield "| rule | | kind | severity |"
    yield "|---|---|---|---|"
    for rule in rules:
        yield f"| [{rule.id}](#{rule.id.lower()}) | {rule.title} | {rule.kinds} | {rule.severity} |"


def _paragraphs(rules: Sequence[Rule]) -> Iterator[str]:
    for rule in rules:
        doc = " ".join((rule.check.__doc__ or "").split())
        yield f"## {rule.id}\n"
        about = f"{rule.severity}; {rule.kinds}; `{rule.family}.py`"
        yield f"**{rule.title}** ({about}). Fires on: {doc[:1].lower()}{doc[1:]}\n"
        yield f"{rule.why} Source: {rule.source}.\n"
        yield f"Instead: {rule.suggestion}\n"


if __name__ == "__main__":
    from whichway.lint import rules as every

    print(page(list(every().values())), end="")
