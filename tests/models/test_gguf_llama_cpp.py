"""A real file, converted, against llama.cpp and against transformers' own loading.

WHICHWAY_GGUF names a GGUF file of a chat model (SmolLM2-135M-Instruct here), WHICHWAY_PEERS a Python that has
llama-cpp-python. Without them these tests are skipped.
"""

import json
import os
import random
import subprocess
from pathlib import Path

import gguf
import pytest
import torch

from whichway.models.gguf import convert, header, values
from whichway.nouns import Message

FILE, PEERS = os.environ.get("WHICHWAY_GGUF", ""), os.environ.get("WHICHWAY_PEERS", "")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path(FILE).is_file(), reason="WHICHWAY_GGUF names no file"),
]
needs_peers = pytest.mark.skipif(not Path(PEERS).is_file(), reason="WHICHWAY_PEERS names no Python")
TOKENS = 16
NEAR = 0.5  # of logits whose standard deviation is 8
CODE = [
    "def f(x):\n    return x + 1\n",
    "for (int i = 0; i < 10; i++) {\n\tprintf(\"%d\\n\", i);\n}",
    "SELECT * FROM t WHERE a >= 3 AND b != 'x';",
    "<div class=\"a\">\n  <p>Hello&nbsp;there</p>\n</div>",
    "if __name__ == '__main__':\n        main()\n\n\n",
    "let x = y?.z ?? 0; // a comment\r\n",
    "#!/bin/sh\nset -e\ncat <<EOF | sort -u > /tmp/x\n$HOME\nEOF\n",
    "\\begin{equation} x_{1}^2 \\leq \\frac{3}{4} \\end{equation}",
]  # fmt: skip
PLAIN = [
    "Where is my parcel? It was sent 2 weeks ago, on 03/11/2026 at 14:30.",
    "I can't, won't, they're, we've, I'd, you'll; O'Neil's DON'T",
    "naïve café, Zürich, Ærø, smörgåsbord, İstanbul",
    "Где мой заказ № 12345?",
    "私の荷物はどこですか。二週間前に送られました。",
    "내 소포는 어디에 있나요?",
    "أين طردي؟ تم إرساله قبل أسبوعين",
    "मेरा पार्सल कहाँ है?",
    "🦔🦔 👩‍👩‍👧 🇨🇭 ½ ² Ⅷ ① ٣ 十二",
    "e\u0301 vs \u00e9, \u200bzero\u200b width, \u00a0nbsp\u00a0, \u3000wide\u3000, \ufeffbom",
]
SPACES = [
    "",
    " ",
    "  ",
    "   ",
    "\t",
    "\t\t x",
    " \n",
    "\n\n\n",
    "\r\n\r\n",
    "a  b   c    d",
    "  lead",
    "trail  ",
    " \n \n x",
]
MARKS = [
    "<|im_start|>user\nHi<|im_end|>\n",
    "<|endoftext|>",
    "a<|im_end|>b <|im_start|> c",
    "<|im_start",
    "<file_sep>x",
]
ASKS = [
    "What is the capital of France?",
    "Which team should handle this? 'I was billed twice.'",
    "Name three colours.",
    "Translate to German: good morning.",
    "What is 12 + 30?",
    "Write a haiku about rain.",
    "Is a whale a fish?",
    "Summarise: The cat sat on the mat and slept all day.",
    "Give the plural of mouse.",
    "What comes after Monday?",
]
FORMS = ["{}", "Answer in one word. {}", "{} Be brief.", "You are a teacher. {}", "{}\nThink first, then answer."]


def strings():
    """500 texts: prose of many scripts, code, runs of spaces, special tokens, and random mixes of all of these."""
    rng = random.Random(11)
    fixed = CODE + PLAIN + SPACES + MARKS
    found = list(fixed)
    while len(found) < 500:
        parts = rng.choices(fixed, k=2)
        cuts = ["".join(part[a : a + 25]) for part in parts for a in [rng.randrange(max(1, len(part)))]]
        odd = "".join(chr(rng.choice([*range(32, 127), *range(160, 591), *range(0x370, 0x600), *range(0x4E00, 0x4E80)]))
                      for _ in range(rng.randrange(12)))  # fmt: skip
        found.append(rng.choice(["", " ", "\n", "  "]).join([*cuts, odd]))
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("gguf") / "model"
    convert(Path(FILE), place)
    return place


@pytest.fixture(scope="module")
def model(folder):
    from whichway.engine.model import load

    return load.load(folder)


@pytest.fixture(scope="module")
def prompts(model):
    rows = [[Message("user", form.format(ask))] for ask in ASKS for form in FORMS]
    return model.renderer.prompt_ids(rows)


def llama_cpp(file, prompts, cache):
    asked = json.dumps({"texts": strings(), "prompts": prompts, "tokens": TOKENS, "cache": cache})
    script = str(Path(__file__).with_name("llama_cpp_peer.py"))
    done = subprocess.run([PEERS, script, str(file)], input=asked, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def peer(prompts):
    """What llama.cpp gives for the file itself."""
    return llama_cpp(FILE, prompts, 1)


@pytest.fixture(scope="module")
def exact_peer(prompts, tmp_path_factory):
    """What llama.cpp gives for the same values as float32: with quantised weights it rounds activations to 8 bits."""
    whole = header.read(Path(FILE))
    file = tmp_path_factory.mktemp("float32") / "model.gguf"
    writer = gguf.GGUFWriter(file, whole.architecture)
    for key, field in gguf.GGUFReader(FILE).fields.items():
        if not key.startswith("GGUF.") and key != "general.architecture":
            inner = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
            writer.add_key_value(key, field.contents(), field.types[0], inner)
    for name in whole.tensors:
        writer.add_tensor(name, values.values(whole, name))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return llama_cpp(file, prompts, 0)


@pytest.fixture(scope="module")
def mine(folder, prompts):
    """Greedy answers of the converted folder in float32; beside each token, by how much it leads the second."""
    from transformers import AutoModelForCausalLM

    module = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    answers = []
    for prompt in prompts:
        row = torch.tensor([prompt])
        whole = module.generate(
            row,
            attention_mask=torch.ones_like(row),
            max_new_tokens=TOKENS,
            do_sample=False,
            output_logits=True,
            return_dict_in_generate=True,
        )
        first, second = torch.stack(whole.logits)[:, 0].topk(2).values.T
        answers.append(list(zip(whole.sequences[0, len(prompt) :].tolist(), (first - second).tolist(), strict=True)))
    return answers


def partings(mine, theirs):
    """Where each pair of answers parts: by how much our token led there; None where they are equal."""
    found = []
    for own, other in zip(mine, theirs, strict=True):
        margins = [margin for (token, margin), b in zip(own, other, strict=False) if token != b]
        found.append(margins[0] if margins else None)
    return found


@needs_peers
def test_token_ids_are_those_of_llama_cpp(model, peer):
    texts = strings()
    found = model.tokenizer(texts, add_special_tokens=False)["input_ids"]
    differ = [text for text, mine, theirs in zip(texts, found, peer["ids"], strict=True) if mine != theirs]
    print(f"ids equal {len(texts) - len(differ)}/{len(texts)}")
    assert differ == []


@needs_peers
def test_greedy_tokens_are_those_of_llama_cpp(mine, exact_peer):
    found = partings(mine, exact_peer["answers"])
    print(f"greedy answers equal {found.count(None)}/{len(found)}; parted at {[f for f in found if f is not None]}")
    assert found.count(None) >= 48


@needs_peers
def test_where_llama_cpp_rounds_activations_answers_part_at_near_ties(mine, peer):
    found = partings(mine, peer["answers"])
    margins = sorted(margin for margin in found if margin is not None)
    print(f"quantised: equal {found.count(None)}/{len(found)}; parted at {margins}")
    assert found.count(None) >= len(found) // 2
    assert all(margin < NEAR for margin in margins)


def test_logits_are_those_of_transformers_own_loading(folder, model):
    from transformers import AutoModelForCausalLM

    file = Path(FILE)
    own = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32).eval()
    mine = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    ids = torch.tensor([model.tokenizer(" ".join(PLAIN + CODE))["input_ids"][:400]])
    with torch.no_grad():
        gap = float((own(ids).logits - mine(ids).logits).abs().max())
    print(f"largest gap of a logit {gap:.2g}")
    assert gap < 1e-4


def test_token_texts_come_back(model):
    for text in strings():
        ids = model.tokenizer(text, add_special_tokens=False)["input_ids"]
        assert model.tokenizer.decode(ids, clean_up_tokenization_spaces=False) == text
