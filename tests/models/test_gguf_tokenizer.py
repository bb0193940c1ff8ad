"""Token ids of converted vocabularies: byte-level BPE with its pre-tokenizers, and SentencePiece's scores."""

import itertools
import random

import gguf_writer
import pytest
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from whichway.errors import ModelError
from whichway.models.gguf import convert
from whichway.models.gguf.pretokenizers import PRE_TOKENIZERS, pipeline

BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
WORDS = ["▁the", "the", "▁th", "▁t", "th", "he", "▁cat", "ca", "at", "▁c", "cat", "sat", "▁s", "sa", "▁a", "an", "▁an"]
LETTERS = ["▁", *"abcdefghijklmnopqrstuvwxyz", *"ABCDEFGHI", *"0123456789", ".", ",", "é", "漢"]


def pieces(spaces=False, **changes):
    """Metadata of a small SentencePiece vocabulary of 320 tokens; `spaces`: as Gemma has it."""
    words = WORDS if not spaces else [*WORDS, "▁▁", "\n\n"]
    tokens = ["<unk>", "<s>", "</s>", "<|end|>", *BYTES, *words, *LETTERS][:320]
    tokens += [f"[PAD{i}]" for i in range(len(tokens), 320)]
    rng = random.Random(4)
    kinds = [2, 3, 3, 3] + [6] * 256 + [1] * 60
    scores = [0.0] * 260 + [-float(n) for n in rng.sample(range(60), 60)]
    if spaces:
        kinds[tokens.index("\n\n")] = 4
    found = {
        "ggml.model": "llama",
        "ggml.tokens": tokens,
        "ggml.scores": scores,
        "ggml.token_type": kinds,
        "ggml.bos_token_id": 1,
        "ggml.eos_token_id": 2,
        **changes,
    }
    return {f"tokenizer.{key}": value for key, value in found.items()}


@pytest.fixture
def built(tmp_path):
    """`built(case, metadata)`: the folder of a tiny model with that vocabulary."""

    def make(case, metadata):
        file = tmp_path / f"{case}.gguf"
        if not file.exists():
            gguf_writer.write(file, gguf_writer.module(case), case, metadata)
            convert(file, tmp_path / case)
        return tmp_path / case

    return make


def sentencepiece(text, tokens, scores):
    """Ids by SentencePiece's own rule: the adjacent pair that makes the best piece, leftmost, until there is none."""
    ids = {token: i for i, token in enumerate(tokens)}
    symbols = list(text)
    while True:
        both = [a + b for a, b in itertools.pairwise(symbols)]
        pairs = [(scores[ids[piece]], -at) for at, piece in enumerate(both) if piece in ids]
        if not pairs:
            break
        at = -max(pairs)[1]
        symbols[at : at + 2] = [symbols[at] + symbols[at + 1]]
    return [i for s in symbols for i in ([ids[s]] if s in ids else [ids[f"<0x{b:02X}>"] for b in s.encode()])]


def texts():
    rng = random.Random(7)
    alphabet = "thecatsan  " * 3 + "xyzABC0123.,é漢🦔\t"
    return [
        "the cat sat",
        " the",
        "  the  cat ",
        "",
        "x\ny",
        *("".join(rng.choices(alphabet, k=20)) for _ in range(200)),
    ]


def test_pieces_go_together_by_score(built):
    metadata = pieces()
    tokens, scores = metadata["tokenizer.ggml.tokens"], metadata["tokenizer.ggml.scores"]
    tokenizer = AutoTokenizer.from_pretrained(built("mistral", metadata))
    for text in texts():
        wanted = sentencepiece("▁" + text.replace(" ", "▁"), tokens, scores) if text else []
        assert tokenizer(text)["input_ids"] == [1, *wanted], text
        assert tokenizer.decode(wanted) == text


def test_no_space_in_front_where_the_file_says_so(built):
    metadata = pieces(spaces=True, **{"ggml.add_space_prefix": False})
    tokens, scores = metadata["tokenizer.ggml.tokens"], metadata["tokenizer.ggml.scores"]
    tokenizer = AutoTokenizer.from_pretrained(built("gemma2", metadata))
    for text in texts():
        assert tokenizer(text, add_special_tokens=False)["input_ids"] == sentencepiece(
            text.replace(" ", "▁"), tokens, scores
        ), text
        assert tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"]) == text
    assert tokenizer("the\n\ncat")["input_ids"][2] == tokens.index("\n\n")  # defined by the makers: found whole


@pytest.mark.parametrize(("said", "first"), [(None, 1), (True, 1), (False, None)])
def test_bos_as_the_file_says(built, said, first):
    folder = built("mistral", pieces(**{} if said is None else {"ggml.add_bos_token": said}))
    ids = AutoTokenizer.from_pretrained(folder)("the")["input_ids"]
    assert ids[0] == (first or ids[0])
    assert (1 in ids) == (first is not None)


def test_eos_as_the_file_says(built):
    tokenizer = AutoTokenizer.from_pretrained(built("mistral", pieces(**{"ggml.add_eos_token": True})))
    assert tokenizer("the")["input_ids"][-1] == 2


def test_special_tokens_of_phi3_take_the_space_behind_them(built):
    tokenizer = AutoTokenizer.from_pretrained(built("phi3", pieces(**{"ggml.add_space_prefix": False})))
    ids = tokenizer("<|end|>\nthe", add_special_tokens=False)["input_ids"]
    assert ids == [3, *tokenizer("the", add_special_tokens=False)["input_ids"]]


def test_whole_words_come_before_merges(built):
    """Llama 3's tokenizer takes a word that is a token, though no merges lead to it."""
    metadata = gguf_writer.byte_level(pre="llama-bpe")
    metadata["tokenizer.ggml.tokens"][319], metadata["tokenizer.ggml.token_type"][319] = "qzqz", 1
    found = {}
    for pre in ("llama-bpe", "qwen2"):
        folder = built({"llama-bpe": "llama", "qwen2": "qwen2"}[pre], {**metadata, "tokenizer.ggml.pre": pre})
        found[pre] = AutoTokenizer.from_pretrained(folder)("qzqz", add_special_tokens=False)["input_ids"]
    assert found["llama-bpe"] == [319]
    assert len(found["qwen2"]) == 4


CUTS = {
    "smollm": ["In", "Ġ", "1", "2", "3", "Ġdays", ",", "Ġdon", "'t", "!", "ĠĠ", "Ġx", "ĊĊ"],
    "gpt-2": ["In", "Ġ123", "Ġdays", ",", "Ġdon", "'t", "!", "ĠĠ", "Ġx", "ĊĊ"],
    "llama-bpe": ["In", "Ġ", "123", "Ġdays", ",", "Ġdon", "'t", "!", "ĠĠ", "Ġx", "ĊĊ"],
    "qwen2": ["In", "Ġ", "1", "2", "3", "Ġdays", ",", "Ġdon", "'t", "!", "ĠĠ", "Ġx", "ĊĊ"],
    "gpt-4o": ["In", "Ġ", "123", "Ġdays", ",", "Ġdon't", "!", "ĠĠ", "Ġx", "ĊĊ"],
    "tekken": ["In", "Ġ", "1", "2", "3", "Ġdays", ",", "Ġdon", "'t", "!", "ĠĠ", "Ġx", "ĊĊ"],
    "default": ["In", "Ġ", "123", "Ġdays", ",", "Ġdon", "'", "t", "!", "ĠĠ", "Ġx", "ĊĊ"],
}


@pytest.mark.parametrize("name", CUTS)
def test_text_is_cut_as_each_maker_does(name):
    cuts = pipeline(PRE_TOKENIZERS[name]).pre_tokenize_str("In 123 days, don't!   x\n\n")
    found = [piece for piece, _ in cuts]
    assert found == CUTS[name]


@pytest.mark.parametrize("name", sorted(PRE_TOKENIZERS))
def test_no_pre_tokenizer_loses_a_character(name):
    text = "Ünï çode's 12345 漢字かな\r\n\t x  // 'll 'S 🦔 end  "
    cuts = pipeline(PRE_TOKENIZERS[name]).pre_tokenize_str(text)
    assert [span for _, (a, b) in cuts for span in range(a, b)] == list(range(len(text)))


def test_what_ends_a_turn_is_special_whatever_the_file_calls_it(built):
    metadata = gguf_writer.byte_level()
    metadata["tokenizer.ggml.token_type"][3] = 1  # <|im_end|>
    folder = built("qwen2", metadata)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer("a<|im_end|>")["input_ids"][-1] == 3
    assert tokenizer.decode([3], skip_special_tokens=True) == ""
    assert Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab_size() == 320


def test_a_token_twice(built):
    metadata = gguf_writer.byte_level()
    metadata["tokenizer.ggml.tokens"][300] = metadata["tokenizer.ggml.tokens"][299]
    with pytest.raises(ModelError, match="a token twice"):
        built("qwen2", metadata)


def test_no_scores(built):
    with pytest.raises(ModelError, match="without a score"):
        built("mistral", pieces(**{"ggml.scores": None}))
