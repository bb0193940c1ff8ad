"""A chat template as Ollama's TEMPLATE (Go), for templates that write turn after turn.

What stands before and after the content of each role is found by rendering a few conversations. Where a template does
more than that, the text that comes out differs from the template's own, and there is no Go template (`of_chat`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

Turn = dict[str, str]
Render = Callable[[Sequence[Turn], bool], str]  # turns, whether an answer is asked for -> text
_WORDS = ("Mark41", "Mark42", "Mark43", "Mark44", "Mark45", "Mark46")


@dataclass(frozen=True, slots=True)
class ChatPieces:
    """What a template writes around contents."""

    lead: str  # before everything, where there is no system message
    before: dict[str, str] = field(default_factory=dict)  # role -> text
    after: dict[str, str] = field(default_factory=dict)
    ask: str = ""  # after everything, where an answer is asked for

    def text(self, turns: Sequence[Turn]) -> str:
        """Turns as these pieces write them, up to where the answer starts."""
        lead = "" if turns[0]["role"] == "system" else self.lead
        shown = (self.before[turn["role"]] + turn["content"] + self.after[turn["role"]] for turn in turns)
        return lead + "".join(shown) + self.ask


def of_chat(render: Render, system: bool) -> ChatPieces | None:
    """The pieces of a template; None where it is no plain sequence of turns.

    Args:
        render: the template.
        system: whether it prints system messages.
    """
    try:
        pieces = _pieces(render, system)
        talks = [_talk("user"), _talk("user", "assistant", "user"), _talk(*["user", "assistant"] * 2, "user")]
        talks += [[{"role": "system", "content": "Mark40"}, *talk] for talk in talks] if system else []
        equal = all(pieces.text(talk) == render(talk, True) for talk in talks)
    except Exception:  # a template is foreign code
        return None
    return pieces if equal else None


def _talk(*roles: str) -> list[Turn]:
    return [{"role": role, "content": word} for role, word in zip(roles, _WORDS, strict=False)]


def _pieces(render: Render, system: bool) -> ChatPieces:
    user, both = _talk("user"), _talk("user", "assistant")
    first, after_user = render(user, False).split("Mark41")
    ask = render(user, True).removeprefix(f"{first}Mark41{after_user}")
    between, after_assistant = render(both, False).split("Mark41")[1].split("Mark42")
    again = render(_talk("user", "assistant", "user"), False).split("Mark42")[1].split("Mark43")[0]
    before = {"user": again.removeprefix(after_assistant), "assistant": between.removeprefix(after_user)}
    after = {"user": after_user, "assistant": after_assistant}
    lead = first.removesuffix(before["user"])
    if system:
        turns = [{"role": "system", "content": "Mark40"}, *user]
        before["system"], rest = render(turns, False).split("Mark40")
        after["system"] = rest.split("Mark41")[0].removesuffix(before["user"])
    return ChatPieces(lead, before, after, ask)


def go(pieces: ChatPieces, system: bool, wrap: tuple[str, str]) -> str:
    """The Go template.

    Args:
        pieces: what stands around contents.
        system: whether the prompt has a system message; otherwise the template begins with the lead.
        wrap: what stands around the row in the last message.
    """
    roles = [role for role in ("system", "user", "assistant") if role in pieces.before]
    branches = []
    for number, role in enumerate(roles):
        condition = f'{{{{ {"else " if number else ""}if eq .Role "{role}" }}}}'
        content = "{{ .Content }}"
        if role == "user":
            first, last = (f"{{{{ if $last }}}}{literal(text)}{{{{ end }}}}" if text else "" for text in wrap)
            content = f"{first}{content}{last}"
        branches.append(condition + literal(pieces.before[role]) + content + literal(pieces.after[role]))
    opening = "{{ range $i, $m := .Messages }}{{ $last := eq (len (slice $.Messages $i)) 1 }}"
    body = opening + "".join(branches) + "{{ end }}{{ end }}"
    return ("" if system else literal(pieces.lead)) + body + literal(pieces.ask)


def literal(text: str) -> str:
    """Text that Go's templates leave as it is."""
    return text.replace("{{", '{{ "{{" }}')
