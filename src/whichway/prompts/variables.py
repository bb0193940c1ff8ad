"""Variables of a prompt: `{{name}}` stands for a field of the row and is filled in where it stands.

A prompt declares the names that it fills in (`Prompt.variables`), and only those are replaced: a row's text, a worked
example and what an optimiser writes are never read as a template. Filters, `{% if %}` and other logic of nunjucks or
Jinja are refused by name; `{% raw %}...{% endraw %}` keeps braces as they are.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from whichway.errors import DataError, did_you_mean
from whichway.nouns import Message, Prompt

ROW = "input"  # the variable that stands for the whole row, where no field has this name
_TAG = re.compile(
    r"\{%-?\s*raw\s*-?%\}(?P<raw>.*?)\{%-?\s*endraw\s*-?%\}|\{\{-?\s*(?P<name>[^{}]*?)\s*-?\}\}|(?P<logic>\{%.*?%\})|"
    r"(?P<note>\{#-?\s.*?#\})",
    re.DOTALL,
)
VARIABLE = re.compile(r"\{\{-?\s*([^{}|()\s][^{}|()]*?)\s*-?\}\}")
_EXPRESSION = re.compile(r"""[|()'"+*/=<>!?:,~]|\[(?!\d+\])""")
_SHOTS = frozenset({"shots", "pool", "labels", "glosses", "protected", "layout", "form", "variables"})


def names(text: str) -> tuple[str, ...]:
    """The variables of a text in their order, each once; what stands in `{% raw %}` is none."""
    matches = (match["name"] for match in _TAG.finditer(text))
    return tuple(dict.fromkeys(name for name in matches if name))


def plain(text: str, where: str) -> str:
    """A text without fences and comments of the template language; its variables stay.

    Raises:
        DataError: template logic, a filter, or a variable of the environment; names the line.
    """

    def replacement(tag: re.Match[str]) -> str:
        if tag["raw"] is not None:
            return tag["raw"]
        if tag["note"] is not None:
            return ""
        _refuse(tag, text, where)
        return tag.group()

    return _TAG.sub(replacement, text)


def _refuse(match: re.Match[str], text: str, where: str) -> None:
    at = f"{where}:{text.count(chr(10), 0, match.start()) + 1}"
    shown = " ".join(match.group().split())[:60]
    fence = "To send braces as they are, put {% raw %} before and {% endraw %} after them."
    if match["logic"]:
        raise DataError(f"{at}: “{shown}”: template logic is not run. Write one prompt for each case. {fence}")
    name = match["name"]
    if not name:
        raise DataError(f"{at}: “{shown}” names no variable. {fence}")
    if name.startswith(("env.", "env[")):
        raise DataError(f"{at}: “{shown}”: variables of the environment are not read. Write the value itself.")
    if _EXPRESSION.search(name):
        kind = "filters are" if "|" in name else "expressions are"
        raise DataError(
            f"{at}: “{shown}”: {kind} not run. Use plain {{{{variables}}}}, and write the value into the data "
            f"as it should stand. {fence}"
        )


def fill(text: str, values: Mapping[str, str]) -> str:
    """A text with `{{name}}` replaced, for the names given and no others; what is put in is not read again."""
    if "{{" not in text or not values:
        return text
    return _hole(tuple(values)).sub(lambda match: values[" ".join(match[1].split())], text)


def _hole(known: Sequence[str]) -> re.Pattern[str]:
    words = sorted((r"\s+".join(map(re.escape, name.split())) for name in known), key=len, reverse=True)
    return re.compile(r"\{\{-?\s*(" + "|".join(words) + r")\s*-?\}\}")


def texts(prompt: Prompt) -> Iterable[str]:
    """The texts of a prompt that may name variables: all slots, not its worked examples."""
    for field in dataclasses.fields(prompt):
        value = getattr(prompt, field.name)
        if field.name in _SHOTS:
            continue
        if isinstance(value, str):
            yield value
        elif isinstance(value, tuple):
            yield from (item.content if isinstance(item, Message) else item for item in value)


def of_prompt(prompt: Prompt) -> tuple[str, ...]:
    """The variables that a prompt's texts name."""
    return tuple(dict.fromkeys(name for text in texts(prompt) for name in names(text)))


def declared(prompt: Prompt, where: str = "prompt") -> Prompt:
    """A prompt that declares its variables, without fences; one that declares some already is left as it is.

    Raises:
        DataError: template logic, or a name that stands both as a variable and fenced.
    """
    if prompt.variables:
        return prompt
    declared_names = of_prompt(prompt)
    fenced = (match["raw"] for text in texts(prompt) for match in _TAG.finditer(text) if match["raw"])
    both = next((name for text in fenced for name in names(text) if name in declared_names), None)
    if both is not None:
        raise DataError(f"{where}: {{{{{both}}}}} stands both as a variable and inside {{% raw %}}. Rename one.")
    return replace(_mapped(prompt, lambda text: plain(text, where)), variables=declared_names)


def _mapped(prompt: Prompt, change: Callable[[str], str]) -> Prompt:
    """A prompt with each of its texts changed."""
    new: dict[str, object] = {}
    for field in dataclasses.fields(prompt):
        value = getattr(prompt, field.name)
        if field.name in _SHOTS:
            continue
        if isinstance(value, str):
            new[field.name] = change(value)
        elif isinstance(value, tuple):
            new[field.name] = tuple(
                replace(item, content=change(item.content)) if isinstance(item, Message) else change(item)
                for item in value
            )
    return replace(prompt, **new)  # type: ignore[arg-type]


def settled(prompt: Prompt, fields: Sequence[str], target: str, where: str = "the prompt") -> Prompt:
    """A prompt that fits rows with these fields.

    One that says nothing but "here stands the row" is the same as one without variables, where the row's text follows.

    Args:
        prompt: with the variables that it declares.
        fields: of a row's input.
        target: the column of the wanted answer; "" where there is none.
        where: for messages.

    Raises:
        DataError: a variable that no field has ("did you mean"), or one that is the wanted answer.
    """
    if not prompt.variables:
        return prompt
    for name in prompt.variables:
        if name in fields or name == ROW:
            continue
        if name == target:
            raise DataError(
                f"{where}: {{{{{name}}}}} is the wanted answer: it would stand in the question. Name an input column."
            )
        raise DataError(
            f"{where}: there is no field '{name}' for {{{{{name}}}}}.{did_you_mean(name, fields)} A prompt names "
            "columns that are input (--input A --input B). To send braces as they are, put {% raw %} and {% endraw %} "
            "around them."
        )
    return _bare(prompt, fields) or _with_rest(prompt, fields)


def _bare(prompt: Prompt, fields: Sequence[str]) -> Prompt | None:
    """The same prompt without variables, where its only one stands for the whole row in a message of its own."""
    (name, *others) = prompt.variables
    whole = (name == ROW and ROW not in fields) or tuple(fields) == (name,)
    alone = re.fullmatch(r"\{\{-?\s*(.*?)\s*-?\}\}", prompt.row.strip())
    once = sum(text.count("{{") for text in texts(prompt)) == 1
    if others or not whole or prompt.lead or alone is None or not once:
        return None
    return replace(prompt, variables=(), row="")


def _with_rest(prompt: Prompt, fields: Sequence[str]) -> Prompt:
    """Slots without a message for the row get one with the fields that no slot names."""
    if prompt.row or prompt.lead or ROW in prompt.variables:
        return prompt
    rest = [name for name in fields if name not in prompt.variables]
    if not rest:
        return prompt
    row = f"{{{{{rest[0]}}}}}" if len(rest) == 1 else "\n".join(f"{name}: {{{{{name}}}}}" for name in rest)
    return replace(prompt, variables=(*prompt.variables, *rest), row=row)
