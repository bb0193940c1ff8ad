"""From a GGUF file's vocabulary to tokenizer.json, tokenizer_config.json and the chat template.

Two kinds are in use: byte-level BPE ("gpt2": merges in the file, text cut beforehand by a pattern that has a name) and
SentencePiece's BPE ("llama": a score for each piece; the adjacent pair that makes the piece of the best score goes
first, which is what merges in the order of these scores do). Bytes stand in for what has no piece.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from whichway.errors import ModelError, did_you_mean
from whichway.models.gguf.header import Header
from whichway.models.gguf.pretokenizers import PRE_TOKENIZERS, pipeline

_UNKNOWN, _CONTROL, _USER_DEFINED = 2, 3, 4  # values of tokenizer.ggml.token_type
_SPACE = "▁"
# What ends a turn or a text in models of many makers, also where `eos_token_id` names another one (as llama.cpp does).
_ENDS = frozenset(
    {"<|eot_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<end_of_turn>", "<|endoftext|>", "</s>", "<|eom_id|>"}
    | {"<EOT>", "_<EOT>", "[EOT]", "[EOS]", "<|end_of_text|>", "<end_of_utterance>", "<eos>", "<｜end▁of▁sentence｜>"}
)


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The tokens of a file, and which of them are special."""

    model: str  # "gpt2" or "llama"
    pre: str  # name of the pre-tokenizer; "" where there is none
    tokens: tuple[str, ...]
    kinds: tuple[int, ...]  # of each token, as in the file
    special: dict[str, int]  # "bos_token" -> id; those that the file names
    add_bos: bool
    add_eos: bool
    add_space: bool  # in front of text that begins a prompt or follows a special token
    ends: tuple[int, ...]  # ids that end a text or a turn, the file's own end first
    chat_template: str


def vocabulary(header: Header) -> Vocabulary:
    """The vocabulary of a file.

    Raises:
        ModelError: it has none, or one of a kind that cannot be built.
    """
    metadata = header.metadata
    model, tokens = metadata.get("tokenizer.ggml.model"), metadata.get("tokenizer.ggml.tokens")
    if not model or not tokens:
        raise ModelError(f"{header.file} holds no tokenizer; give the whole model, not its weights alone.")
    if model not in ("gpt2", "llama"):
        raise ModelError(f"{header.file} has a tokenizer of kind {model!r}; gpt2 and llama can be built.")
    if len(set(tokens)) != len(tokens):
        raise ModelError(f"{header.file} has a token twice in its vocabulary; it is damaged.")
    pre = str(metadata.get("tokenizer.ggml.pre") or "default") if model == "gpt2" else ""
    if model == "gpt2" and pre not in PRE_TOKENIZERS:
        raise ModelError(f"{header.file} cuts text by {pre!r}, which is unknown." + did_you_mean(pre, PRE_TOKENIZERS))
    special = _special(metadata, model, len(tokens))
    kinds = _kinds(metadata, tokens)
    adds_bos = model == "llama" or PRE_TOKENIZERS[pre].adds_bos
    return Vocabulary(
        model,
        pre,
        tuple(tokens),
        kinds,
        special,
        add_bos=bool(metadata.get("tokenizer.ggml.add_bos_token", adds_bos)) and "bos_token" in special,
        add_eos=bool(metadata.get("tokenizer.ggml.add_eos_token", False)) and "eos_token" in special,
        add_space=bool(metadata.get("tokenizer.ggml.add_space_prefix", model == "llama")),
        ends=_ends(metadata, special, tokens, kinds),
        chat_template=str(metadata.get("tokenizer.chat_template") or ""),
    )


def _special(metadata: Any, model: str, count: int) -> dict[str, int]:
    defaults = {"bos": 1, "eos": 2, "unknown": 0} if model == "llama" else {}
    names = {"bos": "bos_token", "eos": "eos_token", "unknown": "unk_token", "padding": "pad_token"}
    ids = {name: metadata.get(f"tokenizer.ggml.{key}_token_id", defaults.get(key)) for key, name in names.items()}
    return {name: int(i) for name, i in ids.items() if i is not None and 0 <= i < count}


def _kinds(metadata: Any, tokens: list[str]) -> tuple[int, ...]:
    """Kinds of tokens; what ends a text is special whatever the file calls it."""
    kinds = list(metadata.get("tokenizer.ggml.token_type") or [1] * len(tokens))
    if len(kinds) < len(tokens):
        raise ModelError("The file has fewer kinds of tokens (tokenizer.ggml.token_type) than tokens; it is damaged.")
    return tuple(_CONTROL if token in _ENDS else kind for token, kind in zip(tokens, kinds, strict=False))


def _ends(metadata: Any, special: dict[str, int], tokens: list[str], kinds: tuple[int, ...]) -> tuple[int, ...]:
    named = [metadata.get(f"tokenizer.ggml.{key}_token_id") for key in ("eot", "eom")]
    known = [i for i, token in enumerate(tokens) if token in _ENDS]
    first = [special["eos_token"]] if "eos_token" in special else []
    return tuple(dict.fromkeys([*first, *(int(i) for i in named if i is not None), *known]))


def build(header: Header, words: Vocabulary) -> Any:
    """A `tokenizers.Tokenizer` that gives the ids that llama.cpp gives.

    Raises:
        ModelError: the file's vocabulary and merges do not fit together.
    """
    try:
        core = _byte_level(header, words) if words.model == "gpt2" else _sentencepiece(header, words)
    except ModelError:
        raise
    except Exception as error:  # the library refuses merges whose parts are no tokens
        raise ModelError(f"{header.file} has a tokenizer that cannot be built: {error}") from error
    _add_tokens(core, words, strip=header.architecture == "phi3" and words.model == "llama")
    _add_post_processor(core, words)
    return core


def _byte_level(header: Header, words: Vocabulary) -> Any:
    from tokenizers import Tokenizer, decoders, models

    merges = header.metadata.get("tokenizer.ggml.merges")
    if not merges:
        raise ModelError(f"{header.file} has a byte-level vocabulary without merges (tokenizer.ggml.merges).")
    pre = PRE_TOKENIZERS[words.pre]
    core = Tokenizer(
        models.BPE(
            vocab={token: i for i, token in enumerate(words.tokens)},
            merges=[_pair(merge) for merge in merges],
            ignore_merges=pre.whole_words,
        )
    )
    core.pre_tokenizer = pipeline(pre)
    core.decoder = decoders.ByteLevel()
    return core


def _pair(merge: str) -> tuple[str, str]:
    cut = merge.index(" ", 1)
    return merge[:cut], merge[cut + 1 :]


def _sentencepiece(header: Header, words: Vocabulary) -> Any:
    from tokenizers import Tokenizer, decoders, models, normalizers

    scores = header.metadata.get("tokenizer.ggml.scores")
    if not scores or len(scores) < len(words.tokens):
        raise ModelError(f"{header.file} has a SentencePiece vocabulary without a score for each piece.")
    unknown = words.special.get("unk_token")
    core = Tokenizer(
        models.BPE(
            vocab={token: i for i, token in enumerate(words.tokens)},
            merges=merges_of(words.tokens, scores, words.kinds),
            unk_token=None if unknown is None else words.tokens[unknown],
            fuse_unk=True,
            byte_fallback=True,
        )
    )
    escape = normalizers.Replace(" ", _SPACE)
    core.normalizer = normalizers.Sequence([normalizers.Prepend(_SPACE), escape]) if words.add_space else escape
    steps = [decoders.Replace(_SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    core.decoder = decoders.Sequence([*steps, decoders.Strip(" ", 1, 0)] if words.add_space else steps)
    return core


def merges_of(tokens: Iterable[str], scores: Iterable[float], kinds: Iterable[int]) -> list[tuple[str, str]]:
    """The merges that a SentencePiece vocabulary stands for: every cut of a piece into two pieces, best score first."""
    rows = zip(tokens, scores, kinds, strict=False)
    pieces = {token: score for token, score, kind in rows if kind not in (_CONTROL, _UNKNOWN)}
    merges = [
        (-score, order, token[:cut], token[cut:])
        for order, (token, score) in enumerate(pieces.items())
        for cut in range(1, len(token))
        if token[:cut] in pieces and token[cut:] in pieces
    ]
    merges.sort(key=lambda merge: merge[:2])
    return [(left, right) for _, _, left, right in merges]


def _add_tokens(core: Any, words: Vocabulary, *, strip: bool) -> None:
    """Tokens that are found whole in any text: special ones, and those that the makers defined."""
    from tokenizers import AddedToken

    plain = {words.special.get("bos_token"), words.special.get("unk_token")}  # no space goes with these in any model
    added = []
    for i, (token, kind) in enumerate(zip(words.tokens, words.kinds, strict=True)):
        special = kind in (_CONTROL, _UNKNOWN) or i in words.special.values()
        if token and (special or kind == _USER_DEFINED):
            takes_space = strip and i not in plain and token != "<|endoftext|>"
            added.append(AddedToken(token, special=special, normalized=False, rstrip=takes_space))
    core.add_tokens([token for token in added if not token.special])
    core.add_special_tokens([token for token in added if token.special])


def _add_post_processor(core: Any, words: Vocabulary) -> None:
    from tokenizers import processors

    first = [words.tokens[words.special["bos_token"]]] if words.add_bos else []
    last = [words.tokens[words.special["eos_token"]]] if words.add_eos else []
    if first or last:
        core.post_processor = processors.TemplateProcessing(
            single=[*first, "$A", *last],
            pair=[*first, "$A", *last, *(f"{token}:1" for token in first), "$B:1", *(f"{token}:1" for token in last)],
            special_tokens=[(token, words.tokens.index(token)) for token in {*first, *last}],
        )


def settings(header: Header, words: Vocabulary) -> dict[str, Any]:
    """tokenizer_config.json."""
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        **{name: words.tokens[i] for name, i in words.special.items()},
        "add_bos_token": words.add_bos,
        "add_eos_token": words.add_eos,
        "clean_up_tokenization_spaces": False,
        "model_max_length": int(header.need("context_length")),
    }


def generation(words: Vocabulary) -> dict[str, Any]:
    """generation_config.json: where a text begins, and all that can end it."""
    ends = list(words.ends)
    marks = [name for name in ("bos_token", "pad_token") if name in words.special]
    ids: dict[str, Any] = {f"{name}_id": words.special[name] for name in marks}
    return {**ids, "eos_token_id": ends[0] if len(ends) == 1 else ends} if ends else ids
