"""A tokenizer as the metadata of a GGUF file: the other direction of `tokenizer`.

llama.cpp knows how text is cut before byte-level BPE by a name alone, and its converter finds the name by hashing what
the tokenizer makes of a text. Here each cutting that we can build is tried on texts of many kinds, and the one that
gives the same ids is named. What no name gives is refused, and so is a file whose metadata make another tokenizer.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from whichway.errors import ModelError
from whichway.models.gguf import tokenizer
from whichway.models.gguf.header import Header
from whichway.models.gguf.pretokenizers import PRE_TOKENIZERS, PreTokenizer, pipeline

_NORMAL, _UNKNOWN, _CONTROL, _USER_DEFINED, _UNUSED, _BYTE = 1, 2, 3, 4, 5, 6  # tokenizer.ggml.token_type
_LAST = "default"  # tried last: it cuts at most places
_NO_MERGE = -1e6  # score of a piece that no merge makes
PROBES = (
    "Where is my parcel? It was sent 2 weeks ago, on 03/11/2026 at 14:30.",
    "I can't, won't, they're, we've, I'd, you'll; O'Neil's DON'T",
    "naïve café, Zürich, smörgåsbord, İstanbul ½ ² Ⅷ 1234567 12,345.67",
    "Где мой заказ № 12345?  私の荷物はどこですか。내 소포는 أين طردي؟ मेरा पार्सल",
    "🦔🦔 👩‍👩‍👧 🇨🇭 e\u0301 \u200bzero\u200b \u00a0nbsp\u00a0 \u3000wide",
    'def f(x):\n    return x + 1\n\n\tfor (int i = 0; i < 10; i++) {\n\t\tprintf("%d\\n", i);\r\n\r\n}  ',
    " lead  two   three    four\n\n\n  trail  \t\t",
    '<div class="a">&nbsp;</div> a/b\\c $HOME `x` ~~y~~ **z** <<EOF >>> ===',
    "camelCaseWord SCREAMING_CASE kebab-case x86_64 v1.2.3 #42 @name",
)


@dataclass(frozen=True, slots=True)
class ChatMetadata:
    """What a file says about how its model is talked to."""

    template: str = ""  # the chat template; "": the model has none
    add_bos: bool = False  # whether a prompt begins with the BOS token
    ends: tuple[int, ...] = ()  # ids that end an answer, the one that ends a turn last


def metadata(folder: Path, size: int, talk: ChatMetadata) -> dict[str, Any]:
    """The keys `tokenizer.*` of a model's file.

    Args:
        folder: the model's, with tokenizer.json.
        size: rows of the embedding; ids without a token are filled up.
        talk: the chat template, and which special tokens are used.

    Raises:
        ModelError: a kind of tokenizer that llama.cpp has no name for.
    """
    core = _core(folder)
    data = json.loads(core.to_str())
    model = data["model"]
    if model["type"] != "BPE":
        raise ModelError(f"{folder} has a tokenizer of kind {model['type']}; into a GGUF file BPE can be written.")
    added = {int(token["id"]): token for token in data["added_tokens"]}
    tokens = [core.id_to_token(i) if i < core.get_vocab_size() else None for i in range(size)]
    words = [f"[PAD{i}]" if token is None else token for i, token in enumerate(tokens)]
    merges = _merges(model)
    keys: dict[str, Any] = {"tokenizer.ggml.tokens": words}
    if model.get("byte_fallback"):
        keys |= {"tokenizer.ggml.model": "llama", "tokenizer.ggml.pre": "default"}
        keys["tokenizer.ggml.scores"] = _scores(words, merges)
        keys["tokenizer.ggml.add_space_prefix"] = _adds_space(core)
    else:
        keys |= {"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": pre_tokenizer(core, model, folder)}
        keys["tokenizer.ggml.merges"] = [" ".join(merge) for merge in merges]
    kinds = [_UNUSED if tokens[i] is None else _kind(added.get(i), word) for i, word in enumerate(words)]
    keys["tokenizer.ggml.token_type"] = kinds
    return {**keys, **_special(folder, words, model, talk)}


def _merges(model: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Pairs; older files write a pair as one text."""
    pairs = [merge.split(" ", 1) if isinstance(merge, str) else merge for merge in model["merges"]]
    return [(left, right) for left, right in pairs]


def _core(folder: Path) -> Any:
    from tokenizers import Tokenizer

    file = folder / "tokenizer.json"
    if not file.is_file():
        raise ModelError(f"{folder} has no tokenizer.json; load its tokenizer with transformers and save it there.")
    return Tokenizer.from_file(str(file))


def _kind(added: Mapping[str, Any] | None, word: str) -> int:
    if added is not None:
        return _UNKNOWN if word == "<unk>" else _CONTROL if added["special"] else _USER_DEFINED
    return _BYTE if len(word) == 6 and word.startswith("<0x") and word.endswith(">") else _NORMAL


def _scores(words: Sequence[str], merges: Sequence[tuple[str, str]]) -> list[float]:
    """SentencePiece's score of each piece: the earlier a merge makes it, the higher."""
    first: dict[str, int] = {}
    for rank, merge in enumerate(merges):
        first.setdefault("".join(merge), rank)
    return [float(-first[word]) if word in first else _NO_MERGE for word in words]


def _adds_space(core: Any) -> bool:
    pieces = core.encode("x", add_special_tokens=False).tokens
    return bool(pieces) and pieces[0].startswith("▁")


def pre_tokenizer(core: Any, model: Mapping[str, Any], folder: Path) -> str:
    """The name of the cutting under which these merges give the tokenizer's own ids.

    Raises:
        ModelError: there is none.
    """
    from tokenizers import Tokenizer, models

    wanted = [core.encode(text, add_special_tokens=False).ids for text in PROBES]
    merges = _merges(model)
    names: dict[PreTokenizer, str] = {}
    for name, pre in PRE_TOKENIZERS.items():
        names.setdefault(pre, name)
    built: dict[bool, Any] = {}
    for pre, name in sorted(names.items(), key=lambda pair: pair[1] == _LAST):
        if pre.whole_words not in built:
            bpe = models.BPE(vocab=model["vocab"], merges=merges, ignore_merges=pre.whole_words)
            built[pre.whole_words] = Tokenizer(bpe)
        other = built[pre.whole_words]
        other.pre_tokenizer = pipeline(pre)
        if [other.encode(text, add_special_tokens=False).ids for text in PROBES] == wanted:
            return name
    raise ModelError(f"{folder} cuts text before its merges in a way that llama.cpp has no name for.")


def _special(folder: Path, words: Sequence[str], model: Mapping[str, Any], talk: ChatMetadata) -> dict[str, Any]:
    """Ids of special tokens, what is put around a text, the chat template."""
    places = {word: i for i, word in reversed(list(enumerate(words)))}
    file = folder / "tokenizer_config.json"
    settings = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    named = {"bos": "bos_token", "eos": "eos_token", "unknown": "unk_token", "padding": "pad_token"}
    ids = {key: places.get(_content(settings.get(name))) for key, name in named.items()}
    if ids["eos"] is None and talk.ends:
        ids["eos"] = talk.ends[-1]
    if talk.ends and talk.ends[-1] != ids["eos"]:
        ids["eot"] = talk.ends[-1]
    keys: dict[str, Any] = {f"tokenizer.ggml.{key}_token_id": place for key, place in ids.items() if place is not None}
    keys |= {"tokenizer.ggml.add_bos_token": talk.add_bos, "tokenizer.ggml.add_eos_token": False}
    return keys | ({"tokenizer.chat_template": talk.template} if talk.template else {})


def _content(token: Any) -> str:
    """A token of tokenizer_config.json, which is a text or an object."""
    return str(token.get("content", "")) if isinstance(token, dict) else str(token or "")


def check(header: Header, folder: Path) -> None:
    """Compare the tokenizer that a file's metadata make with the folder's own, on texts of many kinds.

    Raises:
        ModelError: they give other ids; names a text.
    """
    own, other = _core(folder), tokenizer.build(header, tokenizer.vocabulary(header))
    for text in PROBES:
        if own.encode(text, add_special_tokens=False).ids != other.encode(text, add_special_tokens=False).ids:
            raise ModelError(
                f"The tokenizer of {folder} cannot be written into a GGUF file: read back, it cuts {text!r} otherwise."
            )
