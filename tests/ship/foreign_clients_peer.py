"""Runs under the peers' Python, which has litellm, dspy and lm_eval: what each says of a server, as JSON.

PYTHON foreign_clients_peer.py CLIENT ADDRESS < {"model": ..., "texts": [...]}
"""

import json
import os
import sys


def litellm(address: str, model: str, texts: list[str]) -> list[str]:
    """Answers, asked whole and streamed."""
    import litellm

    answers = []
    for text in texts:
        facts = {"model": f"openai/{model}", "api_base": address, "api_key": "none"}
        messages = [{"role": "user", "content": text}]
        whole = litellm.completion(messages=messages, **facts).choices[0].message.content
        stream = litellm.completion(messages=messages, stream=True, **facts)
        parts = [chunk.choices[0].delta.content or "" for chunk in stream]
        answers.append(whole if whole == "".join(parts) else f"{whole} is streamed as {''.join(parts)}")
    return answers


def dspy(address: str, model: str, texts: list[str]) -> list[str]:
    """Answers of a language model of DSPy."""
    import dspy

    lm = dspy.LM(f"openai/{model}", api_base=address, api_key="none", cache=False, max_tokens=16, temperature=0.0)
    return [str(lm(text)[0]) for text in texts]


def lm_eval(address: str, model: str, texts: list[str]) -> list[str]:
    """Log-likelihoods of a continuation of each text, by lm-evaluation-harness's own client."""
    os.environ["OPENAI_API_KEY"] = "none"
    from lm_eval.api.instance import Instance
    from lm_eval.models.openai_completions import LocalCompletionsAPI

    asks = LocalCompletionsAPI(
        base_url=f"{address}/completions", model=model, tokenizer_backend="huggingface",
        tokenizer=sys.argv[3], num_concurrent=1, max_retries=1,
    )  # fmt: skip
    pairs = [Instance("loglikelihood", {}, (text, " is here"), n) for n, text in enumerate(texts)]
    until = {"until": ["\n"], "max_gen_toks": 5}
    written = [Instance("generate_until", {}, (text, until), n) for n, text in enumerate(texts)]
    scores = asks.loglikelihood(pairs, disable_tqdm=True)
    return [f"{score:.4f} {greedy}" for score, greedy in scores] + list(asks.generate_until(written, disable_tqdm=True))


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    client = {"litellm": litellm, "dspy": dspy, "lm_eval": lm_eval}[sys.argv[1]]
    print(json.dumps(client(sys.argv[2], asked["model"], asked["texts"])))
