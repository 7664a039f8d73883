#!/usr/bin/env python3
"""Makes golden/greedy-<model>.json and golden/plain-<model>.json: 64 greedy tokens of llama.cpp on 20
chat prompts each.

  {"model", "peer", "prompts": [{"text", "ids": [...], "tokens": [...], "margins": [...]}]}

ids is the templated conversation, tokens the answer (its end-of-turn token included where the model
ends within 64), margins[i] the distance in nats between the two best tokens at tokens[i].
Read by tests/local_engine/model/golden_test.cc.

`plain` holds the first 20 of PROMPTS as they come; nearfar is asked for each next token of the peer's
own answer. `greedy` is for answers that run free. 8-bit activations alone move a margin of the small
models by some tenths of a nat and a greedy answer never comes back once it has parted, so undecided
answers tell nothing there: its 20 are those of PROMPTS whose answers are most decided, that is, whose
least margin of the whole answer, in the peer's distribution and in the plain reference's
(reference_model.py), is widest. nearfar has no part in either choice.

--self says how far llama.cpp agrees with itself, by both measures, when only its flash attention is
switched.
"""

import argparse
import json
import os

import llama_cpp
import numpy as np

from peer_model import MODELS, PeerModel, model_path
from reference_model import ReferenceModel

TOKENS = 64
CHOSEN = 20
CANDIDATES = 32  # of which the plain reference's opinion is asked
LEAST_TOKENS = 16  # a shorter answer tests little
HOPELESS_NATS = 0.03  # an answer with a narrower margin is not followed to its end

PROMPTS = [
    "What is the capital of Portugal?",
    "Write a Python function that returns the n-th Fibonacci number.",
    "Explain in two sentences why the sky is blue.",
    "List five fruits that are red.",
    "Translate into French: The cat sleeps on the warm roof.",
    "What is 17 + 26? Show the steps.",
    "Write a haiku about the sea.",
    "Reverse the string \"nearfar\" in C++ without library calls.",
    "Who wrote Don Quixote, and when was it published?",
    "Give me a SQL query that counts orders per customer.",
    "Was ist der Unterschied zwischen Wetter und Klima?",
    "Summarise: The meeting moved from Tuesday to Thursday because the room was double-booked.",
    "用一句话介绍长城。",
    "What does the HTTP status code 404 mean?",
    "Write a bash command that finds all files larger than 10 MB.",
    "Name three differences between TCP and UDP.",
    "¿Cuántos días tiene un año bisiesto?",
    "Fix this JSON: {\"name\": \"Ann\", \"age\": 31,}",
    "Tell me a short story about a robot who learns to paint.",
    "Is 91 a prime number? 🤔",
    "Count from 1 to 40.",
    "Count from 10 down to 1.",
    "Count from 100 to 130, separated by commas.",
    "List the even numbers from 2 to 50.",
    "List the days of the week.",
    "List the months of the year.",
    "List the letters of the English alphabet.",
    "List the planets of the solar system in order from the sun.",
    "List the first ten prime numbers.",
    "Write the multiplication table of 7.",
    "What are the first 20 multiples of 5?",
    "List the square numbers from 1 to 100.",
    "Write the powers of 2 from 1 to 1024.",
    "Repeat after me: The quick brown fox jumps over the lazy dog.",
    "Repeat this sentence five times: The river runs to the sea.",
    "Repeat this sentence exactly: On a cold morning in March the old baker opened his shop as he had done every day for forty years.",
    "Copy this text: Our office is open from Monday to Friday between nine in the morning and five in the afternoon. We are closed on public holidays.",
    "Copy this code:\nfor (int i = 0; i < 10; ++i) {\n  sum += values[i];\n}\nreturn sum;",
    "Wiederhole diesen Satz: Der schnelle braune Fuchs springt über den faulen Hund.",
    "Répète cette phrase : Le petit chat dort sur le canapé du salon.",
    "Repite esta frase: El perro de mi vecino duerme todo el día bajo el árbol.",
    "请重复这句话：我们明天早上八点在火车站见面。",
    "Write \"hello\" ten times.",
    "Write the word \"apple\" twenty times, separated by spaces.",
    "Say the alphabet, one letter per line.",
    "Print the numbers 1 to 10 in Python.",
    "Write hello world in C.",
    "Write hello world in Java.",
    "Write hello world in Python, C and JavaScript.",
    "Write a C function that adds two integers.",
    "Write a Python function that checks whether a number is even.",
    "Write a JavaScript function that returns the larger of two numbers.",
    "Write an HTML page with a heading that says Welcome.",
    "Write a SQL statement that selects all rows of the table users.",
    "Write a for loop in C that prints 0 to 9.",
    "Write a Python class Point with x and y.",
    "Write a function in Rust that squares a number.",
    "What is the command to list files in Linux?",
    "How do I undo the last commit in git?",
    "Write a Makefile rule that compiles main.c.",
    "Spell the word necessary letter by letter.",
    "Sort these numbers: 9, 3, 7, 1, 5.",
    "Sort these names: Zoe, Adam, Mia, Ben, Lea.",
    "Convert to upper case: the quick brown fox jumps over the lazy dog",
    "Reverse this list: 1, 2, 3, 4, 5, 6, 7, 8, 9, 10.",
    "Complete the pattern: 1, 2, 1, 2, 1, 2, 1, 2,",
    "Complete the pattern: a b c a b c a b c a b c",
    "Continue: 5, 10, 15, 20, 25, 30,",
    "Continue: Monday, Tuesday, Wednesday,",
    "Continue the nursery rhyme: Twinkle, twinkle, little star,",
    "Recite the first lines of Romeo and Juliet.",
    "What is the first sentence of the Declaration of Independence of the United States?",
    "Finish the sentence: To be, or not to be,",
    "Make a JSON object with the keys name, age and city for Ann, 31, Paris.",
    "Make a CSV table of three people with name and age: Ann 31, Bob 45, Eva 28.",
    "Make a Markdown table with the columns Name and Age for Ann 31, Bob 45, Eva 28.",
    "Make a bullet list of: milk, bread, eggs, butter, cheese.",
    "Number these items: milk, bread, eggs, butter, cheese, apples, rice.",
    "Extract the e-mail address: write to anna.berg@example.org before Friday.",
    "How many minutes are in 3 hours? Explain.",
    "What is 12 times 12?",
    "What is the chemical formula of water?",
    "Who was the first president of the United States?",
    "In which country is the city of Tokyo?",
    "What is the boiling point of water in degrees Celsius?",
    "Wie heißt die Hauptstadt von Frankreich?",
    "Quelle est la capitale de l'Italie ?",
    "¿Cuál es la capital de España?",
    "日本的首都是哪里？",
    "Zähle von 1 bis 20.",
    "Compte de 1 à 20.",
    "Cuenta del 1 al 20.",
    "从1数到20。",
    "Write the numbers from 1 to 20 in words.",
    "Write the Roman numerals from 1 to 20.",
    "Write the Greek alphabet.",
    "Write 20 zeros.",
    "Draw a line of 30 asterisks.",
    "Repeat the emoji 🎉 twenty times.",
    "What are the seven colours of the rainbow?",
]
SENTENCES = [
    "The old clock in the hall has not moved since the summer of 1978.",
    "She put the red box on the table, opened the window and waited for the rain to stop.",
    "Every morning the postman walks up the hill with his dog and a bag of letters.",
    "Water flows down the mountain, through the forest and into the lake.",
    "Please close the door behind you and turn off the light before you leave.",
    "The museum opens at ten in the morning and closes at six in the evening.",
    "My brother plays the piano, my sister plays the violin and I play the drums.",
    "The train to Berlin leaves from platform 4 at 12:35 and arrives at 16:20.",
    "A good friend is someone who listens to you even when you are wrong.",
    "If it rains tomorrow, we will stay at home and play cards by the fire.",
    "The teacher wrote three numbers on the board: 15, 27 and 108.",
    "Birds fly south in the autumn because the winter in the north is too cold.",
]
PROMPTS += [f"Repeat this sentence three times: {sentence}" for sentence in SENTENCES]
PROMPTS += [f"Copy the following text exactly as it is.\n\n{a} {b}"
            for a, b in zip(SENTENCES, SENTENCES[1:])]
PROMPTS += [f"Continue the list: {', '.join(str(start + step * i) for i in range(12))},"
            for start, step in ((1, 1), (2, 2), (10, 10), (3, 3), (100, 100), (50, 1), (1000, 1))]
PROMPTS += [f"Repeat the word {word} until you are told to stop: {' '.join([word] * 12)}"
            for word in ("tree", "river", "seven", "Haus", "bonjour", "🌊")]


def answer(peer, text, least_margin=HOPELESS_NATS, least_tokens=LEAST_TOKENS):
    """The peer's whole answer; None if it is too short or not decided enough."""
    ids = peer.chat_ids(text)
    tokens, margins = peer.greedy(ids, TOKENS, least_margin)
    if min(margins) < least_margin or len(tokens) < least_tokens:
        return None
    return {"text": text, "ids": ids, "tokens": tokens,
            "margins": [round(margin, 4) for margin in margins]}


def reference_margins(logits, found):
    """The plain reference's distance between each of the peer's tokens and the best other one."""
    rows = logits[len(found["ids"]) - 1:-1].copy()
    at = np.arange(len(rows)), np.array(found["tokens"])
    own = rows[at]
    rows[at] = -np.inf
    return own - rows.max(axis=-1)


def make(name, threads):
    peer = PeerModel(model_path(name), threads)
    answers = [found for text in PROMPTS if (found := answer(peer, text)) is not None]
    answers.sort(key=lambda found: -min(found["margins"]))
    candidates = answers[:CANDIDATES]
    texts = [found["ids"] + found["tokens"] for found in candidates]
    decided = {}
    for found, logits in zip(candidates, ReferenceModel(model_path(name)).logits(texts)):
        decided[found["text"]] = min(*found["margins"], *reference_margins(logits, found))
    candidates.sort(key=lambda found: -decided[found["text"]])
    chosen = sorted(candidates[:CHOSEN], key=lambda found: PROMPTS.index(found["text"]))
    assert len(chosen) == CHOSEN, f"{name}: only {len(chosen)} decided answers"
    print(f"{name}: {len(answers)} of {len(PROMPTS)} answers are decided; least margins of the chosen "
          f"{decided[candidates[0]['text']]:.2f} .. {decided[candidates[CHOSEN - 1]['text']]:.2f} nats, "
          f"{sum(len(found['tokens']) for found in chosen)} tokens", flush=True)
    write("greedy", name, chosen)
    plain = [answer(peer, text, 0, 1) for text in PROMPTS[:CHOSEN]]
    write("plain", name, plain)


def write(kind, name, answers):
    here = os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(here, "golden", f"{kind}-{name}.json"), "w", encoding="ascii") as out:
        out.write(f'{{"model": "{name}", "peer": "llama-cpp-python {llama_cpp.__version__}",\n')
        out.write(' "prompts": [\n')
        out.write(",\n".join("  " + json.dumps(p, separators=(",", ":")) for p in answers))
        out.write("\n]}\n")


def measure_self_agreement(name, threads):
    """llama.cpp with flash attention beside llama.cpp without, on the first 20 prompts."""
    plain = PeerModel(model_path(name), threads)
    answers = [answer(plain, text, 0, 1) for text in PROMPTS[:CHOSEN]]
    del plain
    flash = PeerModel(model_path(name), threads, flash_attention=True)
    equal = sum(flash.greedy(found["ids"], TOKENS)[0] == found["tokens"] for found in answers)
    parted = []
    for found in answers:
        logits = flash.logits(found["ids"] + found["tokens"])[len(found["ids"]) - 1:-1]
        parted += [margin for row, token, margin in zip(logits, found["tokens"], found["margins"])
                   if int(np.argmax(row)) != token]
    tokens = sum(len(found["tokens"]) for found in answers)
    print(f"{name}: llama.cpp with flash attention gives {equal} of {CHOSEN} of its own answers "
          f"without; along those answers it picks another token at {len(parted)} of {tokens} places, "
          f"the widest margin there {max(parted, default=0):.2f} nats", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--self", action="store_true", dest="own",
                        help="how far llama.cpp agrees with itself; writes nothing")
    parser.add_argument("models", nargs="*", default=MODELS)
    arguments = parser.parse_args()
    for name in arguments.models or MODELS:
        (measure_self_agreement if arguments.own else make)(name, arguments.threads)


if __name__ == "__main__":
    main()
