"""Runs under the peers' Python, which has llama-cpp-python: token ids and greedy answers of a GGUF file, as JSON.

PYTHON llama_cpp_peer.py FILE.gguf < {"texts": [...], "prompts": [[id, ...], ...], "tokens": 16}
"""

import json
import sys

from llama_cpp import Llama


def main() -> None:
    asked = json.load(sys.stdin)
    kept = {"type_k": asked["cache"], "type_v": asked["cache"]}
    model = Llama(sys.argv[1], n_ctx=1024, n_threads=1, n_threads_batch=1, n_batch=512, verbose=False, **kept)
    ids = [model.tokenize(text.encode(), add_bos=False, special=True) for text in asked["texts"]]
    ends = {model.token_eos()}
    answers = []
    for prompt in asked["prompts"]:
        answer = []
        for token in model.generate(prompt, temp=0.0, repeat_penalty=1.0):
            answer.append(token)
            if len(answer) == asked["tokens"] or token in ends:
                break
        answers.append(answer)
    json.dump({"ids": ids, "answers": answers}, sys.stdout)


if __name__ == "__main__":
    main()
