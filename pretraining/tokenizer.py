"""Train the embedded model's byte-level BPE tokenizer.

    python pretraining/tokenizer.py --corpus CORPUS --out pretraining/work/tokenizer

Digits are split one by one, so that numbers are read the same way whatever their length. The chat template
puts a space before every turn's text: a label then has the same tokens in the list of the prompt
(", refunds") as in the answer, and a small model can copy it.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from shards import read_shard

SPECIAL = ["<|endoftext|>", "<|pad|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>"]

CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{{ '<|' + message['role'] + '|> ' + message['content'] | trim "
    "+ '<|end|>' }}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def texts(corpus: Path, megabytes: float) -> Iterator[str]:
    """Plain text and chat in equal parts, `megabytes` of each."""
    for shard, field in (("text-000.jsonl.zst", "text"), ("chat-000.jsonl.zst", "messages")):
        left = megabytes * 1e6
        for row in read_shard(corpus / shard):
            parts = [row["text"]] if field == "text" else [" " + m["content"].strip() for m in row["messages"]]
            yield from parts
            left -= sum(map(len, parts))
            if left <= 0:
                break


def main() -> None:
    """Read the options, train, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--vocab", type=int, default=16384)
    parser.add_argument("--megabytes", type=float, default=20.0, help="of text and of chat, each")
    parser.add_argument("--context", type=int, default=1024)
    args = parser.parse_args()
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    raw.decoder = decoders.ByteLevel()
    raw.train_from_iterator(
        texts(args.corpus, args.megabytes),
        trainers.BpeTrainer(
            vocab_size=args.vocab,
            special_tokens=SPECIAL,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=raw,
        bos_token="<|endoftext|>",
        eos_token="<|end|>",
        pad_token="<|pad|>",
        model_max_length=args.context,
    )
    fast.chat_template = CHAT_TEMPLATE
    fast.save_pretrained(args.out)


if __name__ == "__main__":
    main()
