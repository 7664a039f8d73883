"""llama.cpp through llama-cpp-python: ids, logits and greedy tokens, by its public calls."""

import os

import numpy as np
from llama_cpp import Llama
from llama_cpp.llama_chat_format import Jinja2ChatFormatter

MODELS = [
    "smollm2-135m-instruct-q4_1",
    "qwen2.5-coder-0.5b-instruct-q4_k_m",
    "qwen2.5-coder-1.5b-instruct-q4_k_m",
]


def model_path(name):
    folder = os.environ.get("NEARFAR_MODELS") or os.path.expanduser("~/.cache/nearfar/models")
    return os.path.join(folder, name + ".gguf")


class PeerModel:
    def __init__(self, path, threads=2, context=1024, flash_attention=False):
        self._llama = Llama(path, n_ctx=context, n_batch=512, n_threads=threads,
                            n_threads_batch=threads, logits_all=True, flash_attn=flash_attention, verbose=False)
        self._formatter = Jinja2ChatFormatter(
            template=self._llama.metadata["tokenizer.chat_template"], eos_token="<|im_end|>",
            bos_token="", add_generation_prompt=True)

    def tokenize(self, text):
        return self._llama.tokenize(text.encode(), add_bos=False, special=False)

    def chat_ids(self, user_text):
        """The conversation of one user turn, ready for the answer."""
        prompt = self._formatter(messages=[{"role": "user", "content": user_text}]).prompt
        return self._llama.tokenize(prompt.encode(), add_bos=False, special=True)

    def logits(self, ids):
        """f32 [len(ids), vocabulary] from an empty context, in one batch."""
        self._llama.reset()
        self._llama.eval(ids)
        return self._llama.scores[:len(ids)]

    def greedy(self, ids, most, give_up_below=0.0):
        """(tokens, margins): greedy tokens until `most` or the end of the turn, which is included,
        and the distance of the two best log-probabilities at each, in nats. Stops early at a margin
        below `give_up_below`."""
        self._llama.reset()
        self._llama.eval(ids)
        tokens, margins = [], []
        while len(tokens) < most:
            last = self._llama.scores[self._llama.n_tokens - 1]
            second, first = np.partition(last, -2)[-2:]
            tokens.append(int(np.argmax(last)))
            margins.append(float(first - second))
            if self.is_end(tokens[-1]) or margins[-1] < give_up_below:
                break
            self._llama.eval([tokens[-1]])
        return tokens, margins

    def is_end(self, token):
        import llama_cpp
        return bool(llama_cpp.llama_vocab_is_eog(
            llama_cpp.llama_model_get_vocab(self._llama.model), token))
