"""How alike texts are by a sentence encoder, whose folder lies beside this file. Needs transformers.

It is shipped as `sentence_encoder.py` beside `use.py` when an encoder chooses a prompt's shots for each row. It reads
texts as the contest did: the mean of the last layer's states over a text's own tokens, scaled to length 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

FOLDER = "retriever"
LONGEST = 512  # tokens of a text that are read, where the encoder does not say
BATCH = 32
DIGITS = 5  # of a cosine: what rounding in another batch can change must not change an order


class Index:
    """Some texts by their vectors.

    Args:
        texts: to compare with; an answer names them by their place.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        from transformers import AutoModel, AutoTokenizer

        folder = Path(__file__).parent / FOLDER
        self.tokenizer: Any = AutoTokenizer.from_pretrained(folder)
        if self.tokenizer.pad_token is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        self.model: Any = AutoModel.from_pretrained(folder, use_safetensors=True).float().eval()
        most = getattr(self.model.config, "max_position_embeddings", None) or LONGEST
        self.longest = int(min(most, LONGEST))
        self.texts = tuple(texts)
        order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
        vectors_by_place: dict[int, Any] = {}
        for start in range(0, len(order), BATCH):
            places = order[start : start + BATCH]
            vectors_by_place |= dict(zip(places, self.vectors([texts[place] for place in places]), strict=True))
        self.pool = [vectors_by_place[place] for place in range(len(texts))]

    def vectors(self, texts: Sequence[str]) -> Any:
        """`[B, hidden]`, each of length 1."""
        import torch

        fed = self.tokenizer(
            list(texts), padding=True, truncation=True, max_length=self.longest, padding_side="right",
            return_tensors="pt", split_special_tokens=True,  # "[SEP]" in a text is text
        )  # fmt: skip
        with torch.no_grad():
            states = self.model(input_ids=fed["input_ids"], attention_mask=fed["attention_mask"]).last_hidden_state
        mask = fed["attention_mask"].unsqueeze(-1).to(states.dtype)
        mean = (states * mask).sum(1) / mask.sum(1).clamp(min=1)
        return torch.nn.functional.normalize(mean, dim=-1)

    def nearest(self, text: str, count: int) -> list[int]:
        """Places of the `count` texts most like a text, the most like first; ties in order, the same text never."""
        vector = self.vectors([text])[0]
        likeness = [round(float(other @ vector), DIGITS) for other in self.pool]
        places = [place for place, other in enumerate(self.texts) if other != text]
        return sorted(places, key=lambda place: (-likeness[place], place))[:count]
