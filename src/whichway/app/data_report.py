"""What a training will see of a task, for `whichway check`: trained tokens, lengths, copies, suspects, secrets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from whichway.nouns import split_name
from whichway.plurals import plural

if TYPE_CHECKING:
    from whichway.engine.train.encoded_rows import Targets
    from whichway.engine.train.tokenization_report import PromptReader, TokenLengths
    from whichway.models.shelf import ShelfEntry
    from whichway.nouns import Example, Message, Prompt, Task
    from whichway.tasks import Examined

OWN_EXAMPLES = "both_shots_lora"  # the way that trains each row after examples of its own
MOST = 10  # places listed of each kind
BARS = 8  # of the histogram
WIDE = 30  # characters of its longest bar
TOKENIZED = 3_000  # training rows whose tokens are counted
LONGEST = 500  # and the longest ones, so that none is missed that does not fit
JUDGED = 3_000_000  # characters up to which labels are judged without being asked: a minute


@dataclass(frozen=True, slots=True)
class TokenRow:
    """A training row as the trainer renders it: its place, each token's text, and whether it carries the loss."""

    title: str
    tokens: tuple[tuple[str, bool], ...]


@dataclass(frozen=True, slots=True)
class TokenPart:
    """Rows token by token, and lines on the lengths of all."""

    rows: tuple[TokenRow, ...]
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DataReport:
    """What a training will see of a task: rows token by token, then lines for a reader."""

    note: str  # why nothing is counted; "" where it is
    parts: tuple[TokenPart, ...]
    lines: tuple[str, ...]


def data_report(task: Task, rows: int, probe: bool, judge: bool = False) -> DataReport:
    """Look at everything. The model's tokenizer is read; its weights only for `probe`.

    Args:
        task: whose training rows are shown.
        rows: shown token by token.
        probe: judge labels by the model's hidden states instead of words.
        judge: look for wrong labels in data of any size.
    """
    every = [*task.train, *task.dev, *task.test]
    read, note = None if task.reference_free else reader_of(task), ""
    if task.reference_free:
        note = "nothing is trained: no row has a wanted answer"
    elif read is None:
        note = f"not counted: {_not_here(task)}"
    parts = () if read is None else tuple(_tokens(task, read, rows))
    sensitive = secrets([*every, *task.unlabelled])
    return DataReport(note, parts, (*copies(every), *_suspects(task, every, probe, judge), *sensitive))


def group_lines(examined: Examined) -> Iterator[str]:
    """What behaves like a group though none was named, and what naming it would change; the split stays as it is."""
    from whichway.tasks.unseen_groups import unseen_group_lines, unseen_groups

    if examined.parts is None or examined.parts.group is not None:
        return
    parts = examined.parts
    inputs = parts.input if len(parts.input) > 1 else ()
    columns = [*parts.spare, *inputs, *((parts.id,) if parts.id else ())]
    fields = [row.fields for _, row in examined.rows]
    groups = unseen_groups([example for example, _ in examined.rows], fields, columns, bool(examined.task.labels))
    yield from (f"groups    {line}" for line in unseen_group_lines(groups))
    if not groups:
        yield "groups    no column and no run of rows behaves like a group"


def reader_of(task: Task) -> PromptReader | None:
    """The tokenizer of the task's model; None where it is not on this machine."""
    from whichway import models
    from whichway.app.configure import LOCAL, backend_of, backends
    from whichway.engine.train import tokenization_report

    if lacking(task) is not None or backend_of(task.model, backends()) != LOCAL:
        return None
    return tokenization_report.reader(models.find(task.model))


def lacking(task: Task) -> ShelfEntry | None:
    """The task's model where it is one of the shelf that was not fetched yet."""
    from whichway import models
    from whichway.models import shelf

    entry = shelf.load().entries.get(models.name_of(task.model))
    return entry if entry is not None and models.here(entry.name) is None else None


def _not_here(task: Task) -> str:
    from whichway.models.resolve import missing

    entry = lacking(task)
    return f"{task.model} is no model on this machine" if entry is None else missing(entry)


def turns(task: Task, rows: Sequence[Example]) -> list[tuple[Sequence[Message], str]]:
    """Rows under the task's first prompt, as the tuning ways train them."""
    from whichway.app.configure import backends
    from whichway.prompts.nearest import retriever_of
    from whichway.prompts.plain import base_prompt
    from whichway.prompts.template import messages

    prompt, retriever = base_prompt(task.train_dev_view()), retriever_of(backends())
    retriever.prepare(prompt, (row.text for row in rows))
    return [(messages(prompt, row, retriever), row.target) for row in rows]


def _tokens(task: Task, read: PromptReader, rows: int) -> Iterator[TokenPart]:
    """Training rows under the task's first prompt; preceded by their own examples where the task names such a way."""
    from whichway.engine.train import tokenization_report

    some = [masked(row) for row in task.train[:rows]]
    shown = [
        TokenRow(f"{row.origin}, trained tokens in ⟦ ⟧", tuple(tokenization_report.tokens(read, head, answer)))
        for row, (head, answer) in zip(some, turns(task, some), strict=True)
    ]
    limit = [f"context   the model reads {read.context} tokens: {read.limit}"] if read.limit else []
    yield TokenPart(tuple(shown), (*limit, *_lengths(task, read)))
    for name in task.ways:
        if split_name(name)[0].partition("~")[0] == OWN_EXAMPLES:
            yield _tokens_behind_examples(task, name, read, rows)


def _lengths(task: Task, read: PromptReader) -> Iterator[str]:
    """Token counts of the training rows; of many a part is counted, and the longest, so that no cut is missed."""
    from whichway.engine.train import tokenization_report

    some = task.train[:: -(-len(task.train) // TOKENIZED)]
    counts = tokenization_report.lengths(read, turns(task, some))
    if len(some) == len(task.train):
        yield from (*histogram(counts), *cut(counts, some))
        return
    yield f"tokens    of {len(some)} of {len(task.train)} training rows, and of the longest"
    counted = set(map(id, some))
    others = sorted((row for row in task.train if id(row) not in counted), key=lambda row: -len(row.text))[:LONGEST]
    more = tokenization_report.lengths(read, turns(task, others))
    both = replace(counts, tokens=counts.tokens + more.tokens, trained=counts.trained + more.trained)
    yield from (*histogram(counts), *cut(both, (*some, *others)))


def _tokens_behind_examples(task: Task, name: str, read: PromptReader, rows: int) -> TokenPart:
    """The same for the way that trains each row after examples of its own."""
    from whichway.engine.train import tokenization_report

    some, rendered, targets = own_examples(task, name, [masked(row) for row in task.train], read)
    shown = [
        TokenRow(f"{row.origin}, as {name} trains it", tuple(tokenization_report.tokens(read, head, answer, targets)))
        for row, (head, answer) in list(zip(some, rendered, strict=True))[:rows]
    ]
    some, rendered, targets = own_examples(task, name, task.train, read)
    lengths = tokenization_report.lengths(read, rendered, targets)
    title = f"{name} trains each row after examples of its own:"
    return TokenPart(tuple(shown), (title, *histogram(lengths), *cut(lengths, some)))


def own_examples(
    task: Task, name: str, rows: Sequence[Example], read: PromptReader
) -> tuple[Sequence[Example], list[tuple[Sequence[Message], str]], Targets]:
    """Training rows as `both_shots_lora` trains them, with most examples where it tries several numbers."""
    from whichway.app.configure import backends, encoder_of, ways
    from whichway.contest.plan import fill_options
    from whichway.engine.train import tokenization_report
    from whichway.prompts.nearest import retriever_of
    from whichway.prompts.template import messages
    from whichway.tasks.leave_out import left_out

    known_backends, way = backends(), ways()[split_name(name)[0]]
    options, retriever = fill_options(name, way, task.ways[name]), retriever_of(known_backends)

    def rendered(prompt: Prompt, some: Sequence[Example]) -> list[tuple[Sequence[Message], str]]:
        retriever.prepare(prompt, (row.text for row in some))
        return [(messages(prompt, row, retriever, without[row.text]), row.target) for row in some]

    def fill(prompt: Prompt, some: Sequence[Example]) -> float:
        lengths = tokenization_report.lengths(read, rendered(prompt, some))
        return max(lengths.tokens, default=0) / (lengths.context + 1)

    without = left_out(rows)
    practice = replace(task.train_dev_view(), train=tuple(rows))
    prompts, some = way.train_prompts(practice, options, encoder_of(options.encoder, known_backends), fill)
    return some, rendered(max(prompts, key=lambda prompt: prompt.nearest), some), options.targets


def masked(row: Example) -> Example:
    """A row as it may be printed: without personal data and secrets."""
    from whichway.tasks.pii import mask

    fields = {name: mask(value)[0] for name, value in row.input.items()}
    turns = tuple(replace(turn, content=mask(turn.content)[0]) for turn in row.turns)
    return replace(row, input=fields, target=mask(row.target)[0], turns=turns)


def histogram(lengths: TokenLengths) -> Iterator[str]:
    """Training rows by their number of tokens."""
    low, high = min(lengths.tokens), max(lengths.tokens)
    width = max(1, -(-(high - low + 1) // BARS))
    counts = Counter((count - low) // width for count in lengths.tokens)
    middle = sorted(lengths.tokens)[len(lengths.tokens) // 2]
    yield f"tokens    {middle} a row in the middle, {high} at most, of {lengths.context} that the model reads"
    top = max(counts.values())
    for bar in range((high - low) // width + 1):
        start = low + bar * width
        marks = "▇" * round(WIDE * counts[bar] / top) or ("▏" if counts[bar] else "")
        yield f"  {start:>6}–{start + width - 1:<6}{counts[bar]:>6}  {marks}".rstrip()
    trained = sum(lengths.trained)
    yield f"  {trained} trained tokens without turn ends, {trained / len(lengths.trained):.1f} a row"


def cut(lengths: TokenLengths, rows: Sequence[Example]) -> Iterator[str]:
    """Rows that a training leaves out, or learns nothing from."""
    for what, places in (
        ("longer than the model's context, left out of the training", lengths.too_long),
        ("without a trained token: the answer is empty to the tokenizer", lengths.untrained),
    ):
        which = _listed([rows[i] for i in places])
        yield f"{'warning: ' if places else ''}{len(places)} training rows {what}{which}"
    trimmed = [i for i, count in enumerate(lengths.trimmed) if count]
    if trimmed:
        which = _listed([rows[i] for i in trimmed])
        yield f"warning: {len(trimmed)} conversations are longer than the model reads: oldest turns left out{which}"


def copies(rows: Sequence[Example]) -> Iterator[str]:
    """Rows that repeat others; copies with the same answer were left out when the data were read."""
    from whichway.tasks.clean import repeats

    repeated = repeats(rows)
    for exact, name in ((True, "the same but for case and punctuation"), (False, "nearly the same")):
        pairs = [pair for pair in repeated if pair.exact is exact]
        torn = sum(pair.row.target != pair.first.target for pair in pairs)
        listing = ", ".join(f"{pair.row.origin} repeats {pair.first.origin}" for pair in pairs[:MOST])
        yield f"copies    {plural(len(pairs), 'row')} {name}, {torn} with another answer" + (
            f": {listing}" if listing else ""
        )


def _suspects(task: Task, rows: Sequence[Example], probe: bool, judge: bool) -> Iterator[str]:
    from whichway.tasks.label_errors import label_errors

    if not task.labels:
        return
    count = sum(len(row.text) for row in rows)
    if count > JUDGED and not (judge or probe):
        yield f"suspects  not looked for: {count / 1e6:.0f} million characters take minutes; --suspects looks for them"
        return
    features = _features(task, rows) if probe else None
    label_suspects = label_errors(rows, features)
    by = f"{task.model or 'the model'}'s hidden states" if probe else "words and characters"
    yield f"suspects  {len(label_suspects)} labels are probably wrong, by cross-validation on {by}"
    for s in label_suspects[: 2 * MOST]:
        yield (
            f"  {s.example.origin}: labelled {s.example.target} ({s.given_probability:.2f}), believed {s.believed} "
            f"({s.probability:.2f})"
        )
    if len(label_suspects) > 2 * MOST:
        yield f"  and {len(label_suspects) - 2 * MOST} more"


def _features(task: Task, rows: Sequence[Example]) -> Any:
    """The model's hidden states, as `tune_probe` reads them.

    Raises:
        OptionError: the model is not on this machine.
    """
    from whichway import models
    from whichway.app.configure import LOCAL, base_of
    from whichway.engine.model import load
    from whichway.engine.train.probe import Prober
    from whichway.errors import OptionError
    from whichway.nouns import Decoding, Request

    if base_of(task.model).backend != LOCAL:
        raise OptionError(f"--probe wants a model on this machine, and {task.model} is not one.")
    model = load.load(models.find(task.model))
    requests = [Request(tuple(head), Decoding("choose"), task.labels) for head, _ in turns(task, rows)]
    return Prober(model, None).features(requests)[0]


def secrets(rows: Sequence[Example]) -> Iterator[str]:
    """Personal data and secrets, counted, with their places; never printed in full."""
    from whichway.tasks import pii

    in_targets = {target: pii.find(target) for target in {row.target for row in rows}}  # labels repeat
    hits: list[tuple[Example, pii.PersonalDetail]] = []
    for row in rows:
        hits += [(row, hit) for text in row.input.values() for hit in pii.find(text)]
        hits += [(row, hit) for hit in in_targets[row.target]]
    counts = Counter(hit.kind for _, hit in hits)
    summary = ", ".join(f"{counts[kind]} {kind}" for kind in pii.KINDS if counts[kind]) or "none found"
    yield f"personal  {summary}" + (" (whichway prepare --mask-personal takes them out)" if hits else "")
    for kind in pii.KINDS:
        places = [f"{row.origin} {hit.masked}" for row, hit in hits if hit.kind == kind]
        if places:
            yield f"  {kind}: {', '.join(places[:MOST])}" + (f" and {len(places) - MOST} more" * (len(places) > MOST))


def _listed(rows: Sequence[Example]) -> str:
    if not rows:
        return ""
    return f": {', '.join(row.origin for row in rows[:MOST])}" + (", ..." if len(rows) > MOST else "")
