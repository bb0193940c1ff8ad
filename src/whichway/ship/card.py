"""The model card: what was shipped, on what evidence, and how to use it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from whichway.nouns import Standing
from whichway.prompts.template import placeholder
from whichway.ship.forms import DEFAULT, ShipForm
from whichway.ship.prompts import ENCODER, turns
from whichway.ship.source import ShipSource
from whichway.ship.standalone_encoder import FOLDER
from whichway.training_kinds import FACTS, INT8, KINDS, stored_as

LIBRARIES = {"gguf": "gguf", "merged": "transformers", "onnx": "onnx", "encoder": "sentence-transformers"}


def card(source: ShipSource, form: ShipForm) -> str:
    """README.md of the shipped folder."""
    parts = [_front(source, form), _what(source), _results(source), _prompt(source), _use(source, form), _data(source)]
    return "\n\n".join(part for part in parts if part) + "\n"


def overview(source: ShipSource, forms: Sequence[ShipForm]) -> str:
    """README.md of a folder that holds a winner in several forms."""
    lines = ["| folder | what lies in it |", "|---|---|", *(f"| [{f.NAME}]({f.NAME}/) | {f.SUMMARY} |" for f in forms)]
    return "\n\n".join([_what(source), "## Forms", "\n".join(lines), _results(source)]) + "\n"


def _front(source: ShipSource, form: ShipForm) -> str:
    weights = source.candidate.weights
    usual = "peft" if stored_as(weights.kind, "adapter") else "transformers"
    library = LIBRARIES.get(form.NAME, usual)
    lines = ["---", "tags: [whichway]"]
    if weights.backend in ("local", "encoder"):
        lines = ["---", f"base_model: {_quoted(weights.base)}", f"library_name: {library}", "tags: [whichway]"]
    return "\n".join([*lines, "---"])


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _what(source: ShipSource) -> str:
    candidate, verdict = source.candidate, source.verdict
    weights, decoding = candidate.weights, candidate.decoding
    trained = f"{weights.kind}, digest `{weights.adapter}`" if weights.adapter else "none; the base as it is"
    if source.adapter is not None and _precision(source.adapter) == INT8:
        trained += "; frozen weights multiplied in int8 while it was trained, its answers were measured without"
    reads = "the best-scoring of the labels" if decoding.mode == "choose" else f"up to {decoding.max_tokens} new tokens"
    if weights.adapter and KINDS[weights.kind].sets:
        reads = "every label whose probability is at least the threshold of its head"
    if decoding.channel:
        reads = "the label under which the row's text is likeliest"
    if decoding.answer_mark:
        reads += f", the answer is what stands after the last `{decoding.answer_mark}` (`answer_extraction.py`)"
    if decoding.votes > 1:
        reads += f", the most frequent of {decoding.votes} drawn at temperature {decoding.temperature:g}"
    winner = candidate.id == verdict.candidate
    if candidate.deferral is not None:
        reads += ", where it is sure enough; else the next stage answers"
    return "\n".join(
        [
            f"# {source.plan['task']}: {candidate.way}",
            "",
            f"> {source.plan['ask']}" if source.plan["ask"] else "",
            "",
            f"{'The choice' if winner else 'A candidate'} of a whichway run. The verdict: {verdict.headline}",
            "",
            f"- candidate: `{candidate.id}` ({candidate.note or candidate.way}{_origin(source)})",
            f"- base: none, it is {source.classical}"
            if source.classical
            else f"- base: `{weights.base}` ({weights.backend}), revision `{weights.revision}`",
            f"- trained part: {trained}",
            f"- answer: {reads}",
            *_stages(source),
        ]
    )


def _precision(adapter: Path) -> str:
    """The format of frozen weights' products in a training; "" where nothing is said of it."""
    try:
        facts = json.loads((adapter / FACTS).read_text(encoding="utf-8"))
    except (OSError, ValueError):  # a trained part that no training of ours has made
        return ""
    return str(facts.get("precision", ""))


def _stages(source: ShipSource) -> list[str]:
    """What each stage of a cascade is, and when the next one is asked."""
    if source.next_stage is None:
        return []
    lines = ["", "## Stages", "", "What stands above is the first stage; each lies in a folder of its own.", ""]
    for number, stage in enumerate(source.stages, 1):
        weights = stage.candidate.weights
        how = f"{weights.kind} on `{weights.base}`" if weights.adapter else f"a prompt on `{weights.base}`"
        lines.append(f"- `stage_{number}`: {how} ({weights.backend})")
    lines += [
        "",
        "A stage's answer stands where its confidence is at least the threshold; else the next one answers. Confidence",
        "is `1 / (1 + exp(-(slope · z + intercept)))`, z being the log-odds of the likeliest label among all. The",
        "numbers are `deferrals` in `manifest.json`:",
        "",
    ]
    for number, rule in enumerate(source.candidate.deferrals, 1):
        numbers = f"threshold {rule.least:.4g}, slope {rule.slope:.4g}, intercept {rule.intercept:.4g}"
        lines.append(f"- stage {number}: {numbers}")
    return lines


def _origin(source: ShipSource) -> str:
    """Which seed, which fold, or that it was made of all rows."""
    if source.verdict.folds == 1:
        return f", seed {source.candidate.seed}"
    how = source.facts.get("how")
    return f"; {how}" if how else f", fold {source.candidate.seed + 1} of {source.verdict.folds}"


def _measured(source: ShipSource) -> str:
    """On which rows the scores were measured, and of what."""
    verdict = source.verdict
    if verdict.folds == 1:
        return f"on {verdict.rows} test rows that no way saw"
    kind = "the candidate shipped here was not measured itself" if "how" in source.facts else "one of them is this one"
    return (
        f"on all {verdict.rows} rows in {verdict.folds} folds: each row was answered once, by a fit of the way "
        f"that was made without it ({kind})"
    )


def _results(source: ShipSource) -> str:
    percent = f"{100 * source.verdict.confidence:g} %"
    metric = "people's grades" if source.verdict.grading else source.plan["metric"]["name"]
    lines = [
        "## Results",
        "",
        f"{metric} {_measured(source)}, with {percent} intervals.",
        "",
        "| way | kind | score | interval | seconds per row | to fit, seconds |",
        "|---|---|---|---|---|---|",
        *(_row(s, s.way == source.candidate.way) for s in source.verdict.standings),
    ]
    return "\n".join([*lines, "", *(f"- {reason}" for reason in source.verdict.reasons)]).rstrip()


def _row(standing: Standing, shipped: bool) -> str:
    name = f"**{standing.way}**" if shipped else standing.way
    if standing.score is None:
        return f"| {name} | {standing.kind} | {standing.status} | {_cell(standing.reason)} | | |"
    low, high = _number(standing.low), _number(standing.high)
    seconds = f"{standing.seconds_per_row:.3g} | {standing.seconds_fit:.0f}"
    return f"| {name} | {standing.kind} | {standing.score:.3f} | {low} to {high} | {seconds} |"


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3f}"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _prompt(source: ShipSource) -> str:
    if not source.asks:
        return ""
    prompt = source.candidate.prompt
    lines = [
        "## The exact prompt",
        "",
        f"`{placeholder(prompt)}` is the place of the row's text: {_fields(source)}.",
        "`messages.json` goes through the model's chat template; `prompt.txt` is for models without one.",
    ]
    if prompt.pool:
        by = f"`{ENCODER}`, by the encoder in `{FOLDER}`" if prompt.encoder else "`tfidf.py`"
        lines.append(f"Worked examples are chosen for each row ({by}); `messages.json` has the pool.")
    for turn in turns(source.candidate):
        lines += ["", f"**{turn.role}**", "", *(f"    {line}".rstrip() for line in turn.content.splitlines())]
    return "\n".join(lines)


def _fields(source: ShipSource) -> str:
    if source.candidate.prompt.variables:
        return "the value of each field stands where `{{its name}}` does"
    if source.conversation:
        return "the last message of the row's conversation; its earlier turns stand before it"
    if len(source.fields) == 1:
        return f"the value of `{source.fields[0]}`"
    return "one line `name: value` for each of " + ", ".join(f"`{name}`" for name in source.fields)


def _use(source: ShipSource, form: ShipForm) -> str:
    own = form.use(source)
    lines = ["## Use", "", *own, *([""] if own else [])]
    lines += ["With whichway and the run folder:", "", "```"]
    lines += [f"whichway predict RUN rows.csv --candidate {source.candidate.id}", "```"]
    lines += ["", "Over OpenAI's chat protocol (the content is the row's text; the name brings the prompt):", ""]
    lines += ["```", "whichway serve RUN", "curl localhost:8000/v1/chat/completions -d '"]
    lines[-1] += f'{{"model": "{source.candidate.id}", "messages": [{{"role": "user", "content": "..."}}]}}' + "'"
    lines += ["```"]
    if source.one_request and form.NAME in (DEFAULT, "prompt"):
        lines += ["", "`request.json` is the whole question as a request to the bare model, `base`."]
    return "\n".join(lines)


def _data(source: ShipSource) -> str:
    rows, splits = source.plan["rows"], source.plan["splits"]
    lines = ["## Data", "", *(f"- {name}: {rows[name]} rows, digest `{splits[name]}`" for name in sorted(splits))]
    lines.append(f"- plan: sha256 `{source.plan_sha256}`")
    if source.adapter is not None and KINDS[source.candidate.weights.kind].quotes_data:
        lines += ["", "The trained part quotes training data: a probe four rows, a word-count model its vocabulary."]
    return "\n".join(lines)
