"""One rendering for training and answering; the turn end is trained; never two BOS."""

import pytest
from transformers import AutoTokenizer

from whichway.engine.model import forward, load
from whichway.engine.model.chat_template import Renderer
from whichway.engine.train import trainer
from whichway.nouns import Message, TrainJob, TrainRow, Weights

ASK = (Message("system", "Which team?"), Message("user", "Where is my parcel?"))
KINDS = ["llama", "base", "nosystem", "bos"]


def renderer(folder):
    return Renderer(AutoTokenizer.from_pretrained(folder), [1])


@pytest.mark.parametrize("kind", ["llama", "bos"])
def test_prompt_and_answer_are_what_the_template_writes(tiny, kind):
    r = renderer(tiny(kind))
    turns = [{"role": m.role, "content": m.content} for m in (*ASK, Message("assistant", "billing"))]
    whole = r.tokenizer.apply_chat_template(turns, tokenize=True, return_dict=False)
    ours = r.prompt_ids([ASK])[0] + list(r.answer_ids("billing"))
    assert whole[: len(ours)] == ours
    assert r.tokenizer.decode(whole[len(ours) :]) == "\n"


@pytest.mark.parametrize("kind", KINDS)
def test_the_turn_end_is_trained(tiny, kind):
    r = renderer(tiny(kind))
    end = r.answer_ids("technical support")[-1]
    assert end == r.turn_end
    assert end in r.ends
    assert end == r.tokenizer.convert_tokens_to_ids("<|eos|>" if kind == "base" else "<|im_end|>")
    assert r.text(r.answer_ids("technical support")) == "technical support"


@pytest.mark.parametrize("kind", KINDS)
def test_at_most_one_bos(tiny, kind):
    r = renderer(tiny(kind))
    ids = r.prompt_ids([ASK])[0]
    assert ids.count(r.tokenizer.bos_token_id) == (1 if kind in ("bos", "nosystem") else 0)


def test_bos_of_a_base_model_is_added_once(tiny):
    from tokenizers.processors import TemplateProcessing

    tokenizer = AutoTokenizer.from_pretrained(tiny("base"))
    lead = TemplateProcessing(single="<|bos|> $A", special_tokens=[("<|bos|>", 0)])
    tokenizer.backend_tokenizer.post_processor = lead
    ids = Renderer(tokenizer).prompt_ids([ASK])[0]
    assert ids[0] == 0
    assert ids.count(0) == 1


def test_a_rejected_system_message_goes_into_the_first_turn(tiny):
    text = renderer(tiny("nosystem")).prompt_text(ASK)
    assert "Which team?\n\nWhere is my parcel?" in text
    assert "system" not in text


def test_a_silently_dropped_system_message_goes_into_the_first_turn(tiny):
    tokenizer = AutoTokenizer.from_pretrained(tiny("llama"))
    tokenizer.chat_template = "{% for m in messages if m.role != 'system' %}[{{ m.content }}]{% endfor %}"
    assert renderer_of(tokenizer).prompt_text(ASK) == "[Which team?\n\nWhere is my parcel?]"


def renderer_of(tokenizer):
    return Renderer(tokenizer, [1])


def test_a_generation_prompt_that_differs_from_the_rendered_turn(tiny):
    tokenizer = AutoTokenizer.from_pretrained(tiny("llama"))
    tokenizer.chat_template = (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n<think></think>{% endif %}"
    )
    r = renderer_of(tokenizer)
    assert tokenizer.decode(r.answer_ids("billing")) == "billing<|im_end|>"


def test_a_boundary_where_tokens_would_merge(tiny):
    tokenizer = AutoTokenizer.from_pretrained(tiny("llama"))
    tokenizer.chat_template = (
        "{% for m in messages %}{% if m.role == 'assistant' %}sh{{ m.content }}{{ eos_token }}"
        "{% else %}{{ m.content }} {% endif %}{% endfor %}{% if add_generation_prompt %}sh{% endif %}"
    )
    r = renderer_of(tokenizer)
    prompt = r.prompt_ids([ASK])[0]
    assert tokenizer.encode(tokenizer.decode(prompt) + "ipping")[: len(prompt)] != prompt
    assert tokenizer.decode(prompt + list(r.answer_ids("ipping"))).endswith("parcel? shipping<|eos|>")


def test_no_date_in_the_prompt(tiny):
    tokenizer = AutoTokenizer.from_pretrained(tiny("llama"))
    tokenizer.chat_template = "{{ strftime_now('%d %b %Y') }}{% for m in messages %}{{ m.content }}{% endfor %}"
    assert renderer_of(tokenizer).prompt_text(ASK).startswith("26 Jul 2024")


@pytest.mark.parametrize("kind", KINDS)
def test_training_and_answering_render_alike(tiny, kind, monkeypatch):
    from whichway.engine.infer import session as answer
    from whichway.nouns import Decoding, Request

    model = load.load(tiny(kind))
    job = TrainJob("lora", Weights("local", "x"), (TrainRow(ASK, "bill"),), ("bill", "billing"), 0)
    trained = trainer.encode(model, job)
    fed = []
    session = answer.InferenceSession(model, model.module)
    honest = forward.logits

    def watched(module, ids, *rest):
        fed.append(ids)
        return honest(module, ids, *rest)

    monkeypatch.setattr(forward, "logits", watched)
    session.choose([Request(ASK, Decoding(), ("bill", "billing"))])
    ids = [*session.prefix.ids, *fed[0].tolist()]
    assert ids[: len(trained[0].prompt)] == trained[0].prompt
    assert ids[len(trained[0].prompt) :] == trained[0].answer[: len(ids) - len(trained[0].prompt)]
