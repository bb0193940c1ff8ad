"""Chat templates and sentences for tests that make tokenizers of their own."""

from __future__ import annotations

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
WITH_BOS = "{{ bos_token }}" + CHATML
NO_SYSTEM = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}" + WITH_BOS
SENTENCES = [
    "Where is my parcel? It was sent two weeks ago.",
    "Please refund the second payment, I was billed twice for the billing period.",
    "The app crashes when I open the settings page on my phone.",
    "Which team should handle this message? Answer with one of: billing, bill, shipping, technical support.",
]
