#!/usr/bin/env python3
"""Makes the golden token ids of the default models: golden/tokenizer.jsonl, golden/chat_template.jsonl.

The oracle is llama.cpp (llama-cpp-python 0.3.36) for ids and Jinja for chat templates, rendered as
Hugging Face renders them (trim_blocks, lstrip_blocks). Run by hand; the tests only read the files:

  pip install llama-cpp-python==0.3.36 jinja2
  python3 tests/oracle/tokenizer_golden.py

Model files are looked for in ${NEARFAR_MODELS:-~/.cache/nearfar/models}. Texts are written in hex, so
that control characters and lone surrogates survive. Ill-formed UTF-8 other than surrogates is left to
the property tests: the oracle replaces it by U+FFFD, we keep the bytes.
"""

import json
import os
import pathlib
import random

import jinja2
import llama_cpp

GOLDEN = pathlib.Path(__file__).parent / "golden"
MODELS = pathlib.Path(os.environ.get("NEARFAR_MODELS") or "~/.cache/nearfar/models").expanduser()
# Files of one vocabulary share their goldens; this script checks that they do.
FILES = {
    "smollm2": ["smollm2-135m-instruct-q4_1.gguf"],
    "qwen2.5": ["qwen2.5-coder-0.5b-instruct-q4_k_m.gguf", "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf"],
}

PLAIN = [
    "", " ", "  ", "a", "Hello, world!", "The quick brown fox jumps over the lazy dog.",
    "don't can't I'll we've they're I'm he'd it's", "DON'T CAN'T I'LL WE'VE THEY'RE I'M HE'D IT'S",
    "'s't're've'm'll'd 'S'T'RE'VE'M'LL'D 'Sx 'lL 'Re", "rock'n'roll o'clock ''' 'quoted' '", "a'", "'",
    "\u2019s it\u2019s \u2018quoted\u2019", "'\u017f 'K \u212a", "UPPER lower MiXeD camelCase snake_case",
    "a\u00a0b\u2003c\u3000d\u0085e\u2028f", "antidisestablishmentarianism", "x" * 3 + " " + "y" * 5,
    "e.g. i.e. etc... wait---what?!?! (yes) [no] {maybe} <tag/>", "#hashtag @user $100 50% a&b a|b a^b ~x `y`",
    "https://example.org/a/b?c=d&e=f#g", "user.name+tag@example.co.uk", "C:\\Users\\me\\file.txt",
    "Zürich naïve façade Ångström œuvre straße", "Привет, как дела?", "Γειά σου Κόσμε", "Ђ Џ ґ є ї",
    "ﬁﬂ ǅ ǈ Ⅷ ⅷ ʰ ª º", "\u1e9e \u0130 \u0131 I i",
]
CODE = [
    "def f(x):\n    return x ** 2\n\nprint(f(3))\n", "int main(void) {\n\treturn 0;\n}\n",
    "for (int i = 0; i < n; ++i) {\n        a[i] += b[i] * c;  // axpy\n}", "SELECT * FROM t WHERE a='b' AND c<>3;",
    "#include <vector>\r\n#include <map>\r\n", "{\"key\": [1, 2.5, null, true], \"s\": \"\\u00e9\\n\"}",
    "<html><body class=\"x\">&nbsp;</body></html>", "if a==b!=c<=d>=e&&f||g: pass", "x=1;y=2;;z=3",
    "lambda x: (x[0], -x[1])\n\n\n\nclass A:\n  pass", "\t\tif (a) {\n\t\t\tb();\n\t\t}\n", "#!/bin/sh\nset -eu\necho \"$@\"\n",
    "\\frac{a}{b} + \\sum_{i=0}^{n} x_i^2", "std::unique_ptr<const Foo> foo_;  /* why */", "0x1F 0b101 1e-9 3.14f 1_000_000",
    "// ----------------------------------------\n", "/* ==================== */", "a->b.c()[d](e)", "!@#$%^&*()_+-=[]{}|;':\",./<>?",
    "\"\"\"doc\n\n  string\n\"\"\"", "fn main() { println!(\"{}\", 1u8 as char); }", "    \n    x\n        y\n\n", "--flag=value -x -Wno-all",
]
SCRIPTS = [
    "你好，世界！今天天气怎么样？", "こんにちは世界。カタカナとひらがな", "안녕하세요 세계", "漢字かな交じり文、テスト123です。",
    "中文English混排123数字", "𠀀𠀁𪚥 rare ideographs", "㍿㊗️①②③", "０１２３ＡＢＣ！？", "مرحبا بالعالم ١٢٣", "שלום עולם 123",
    "العربية: «نص» وأرقام ٤٥٦٫٧", "नमस्ते दुनिया १२३", "สวัสดีชาวโลก ๑๒๓", "ภาษาไทยไม่มีช่องว่าง", "Xin chào thế giới",
    "გამარჯობა მსოფლიო", "Բարեւ աշխարհ", "ሰላም ልዑል", "ᐊᐃᓐᖓᐃ", "தமிழ் மொழி", "မြန်မာဘာသာ ၁၂၃", "བོད་སྐད་", "ᚠᚢᚦᚨᚱᚲ", "𐌰𐌱𐌲 𐤀𐤁",
    "\u202eright to left\u202c \u200fmark\u200e", "Ελληνικά και English και Русский 日本語", "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝟘𝟙𝟚",
]
EMOJI = [
    "😀", "😀😃😄", "👍🏽 👍🏿", "👨‍👩‍👧‍👦 family", "🏳️‍🌈🏴‍☠️", "🇩🇪🇫🇷🇯🇵", "❤️ vs ❤", "1️⃣2️⃣#️⃣", "🧑‍💻 codes 🐍", "text😀text 😀 text",
    "🫠🫨🩷", "✔✅☑ → ← ⇒ ∞ ≠ ≤ ±", "♔♕♖ ♠♥♦♣", "👩🏾‍🚀🚀🌕", "¯\\_(ツ)_/¯ ( ͡° ͜ʖ ͡°)", "\U0001f1e6", "\U0001faf8\U0001f3fb",
]
MARKS = [
    "e\u0301 n\u0303 a\u030a\u0323", "Z\u0351\u036b\u0343a\u0329\u0317l\u030d\u033fg\u0320\u0311o\u0300", "\u0301", " \u0301", "1\u0301",
    "\u0915\u094d\u0937\u093f", "q\u0307\u0323 vs q\u0323\u0307", "a\u20dd 5\u20e3", "\u0e33\u0e48", "\u064e\u0651", "x\ufe0f y\ufe0e", "o\u0308\u0308\u0308",
    "\u200b\u200c\u200d\ufeff", "a\u200bb\u200dc\u2060d", "soft\u00adhyphen",
]
CONTROLS = [
    "\x00", "a\x00b", "\x01\x02\x03\x04\x05\x06\x07\x08", "\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17", "\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f",
    "\x7f\x80\x9f", "a\x0bb\x0cc", "\x1b[31mred\x1b[0m", "\x1c\x1d a\x1eb\x1f 1", "\ue000\uf8ff\U000f0000\U0010fffd", "\ufffe\uffff\ufdd0 \U0001fffe",
    "\u0378\u0379 \U000e0080 unassigned", "\ud800", "a\udc00b \udfff", "\ufffd \ufffc", "\U000f1234x\U00041234",
]
NUMBERS = [
    "0", "1", "12", "123", "1234", "12345678901234567890", "3.14159265358979", "1,234,567.89", "-42 +7 -0.5", "1e10 2E-5", "2024-02-29T23:59:60Z",
    "192.168.0.1 ::1", "a1b22c333d4444", "1a 2b 3c", " 1 22 333", "½ ¼ ² ³ ₁₂ Ⅳ", "१२३४५", "٠١٢٣٤٥٦٧٨٩", "12\u0663456\u0667", "1 000 000", "+49 (0)30 123456",
    "007 0.0.0", "$1,000.00 €5 £3 ¥9", "50%-60%", "1st 2nd 3rd", "10^-3 2**8 5/3", "\U0001d7ce\U0001d7cf",
]
SPACES = [
    "a b", "a  b", "a   b", "a    b", "a     b", "   a", "a   ", "\n", "\n\n", "\n\n\n", "a\nb", "a\n\nb", "a \nb", "a\n b", "a\n  b", "a \n \n b", "\r\n", "a\r\nb\r\n\r\nc",
    "a\rb\r\rc", "\t", "\t\t\t", "a\tb\t\tc", " \t \t ", "\n \n \n", "   \n", "\n   ", "  \n\n  \n", "a.\n\nb", "a. \n", "!\n", "!\r\n\r\n!", "\u00a0\u00a0a", "a\u3000\u3000b", " \u2003 \u2003x",
    "1  2", "1   2   ", "  1", "a  1  b", ".  .", " .", "  .", "  's", " 's", "\n's", "\u0085\u0085a", "a\x0b\x0b1", "\u2028\n\u2029",
]
SPECIALS = [
    "<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|im_start|>user\nhi<|im_end|>\n", "a<|im_end|>b", " <|im_end|> ", "<|im_<|im_end|>", "<|im_end|><|im_end|>",
    "<|im_end", "im_end|>", "<tool_call>{\"name\": \"f\"}</tool_call>", "x <tool_call> y", "</tool_call>", "<|fim_prefix|>a<|fim_suffix|>b<|fim_middle|>", "<repo_name>x<file_sep>y",
    "<reponame> <filename>", "</s>", "<s> </s> [INST]", "[PAD151665]", "<|file_sep|><|repo_name|>", "<empty_output><jupyter_code>", "<|object_ref_start|>é<|box_end|>",
]
RUNS = [
    "a" * 500, "ab" * 300, " " * 300, " " * 300 + "a", "\n" * 120, "1" * 200, "!" * 150, "=" * 128, "-" * 77 + "\n", "哈" * 90, "😀" * 40, "\t" * 64 + "x", "é" * 100,
    "\u0301" * 30, "Aa" * 64, "'" * 50, "'s" * 30, " a" * 60, "\r\n" * 40, "0a" * 40,
]
POOL = ["the", "Model", "x_1", "42", "2024", "3.14", "你好", "мир", "😀", "👨‍👩‍👧", "e\u0301", " ", "  ", "\n", "\r\n", "\t", "'s", "'LL", "!", "...", "->", "(", ")", "\"", "$", "<", "|>", "é", "ß", "\u00a0", "\u3000",
        "\u200d", "\x1f", "½", "٣", "क्ष", "\ufeff", "`", "~", "#", "def", "return", "{", "}"]


def generated(count):
    rng = random.Random(20240229)
    return ["".join(rng.choice(POOL) for _ in range(rng.randint(3, 30))) for _ in range(count)]


CONVERSATIONS = [
    [("user", "Hi")],
    [("user", "What is 2 + 2?\nThink.")],
    [("system", "You are terse."), ("user", "Why is the sky blue?")],
    [("system", ""), ("user", "x")],
    [("user", "a"), ("assistant", "b"), ("user", "c")],
    [("system", "S"), ("user", "a"), ("assistant", "\n\nb\n"), ("user", "  c  "), ("assistant", ""), ("user", "d")],
    [("user", "你好 😀\r\n")],
    [("user", "a"), ("system", "later system"), ("user", "b")],
    [("user", "Weather?"), ("assistant", "<tool_call>\n{\"name\": \"w\"}\n</tool_call>"), ("tool", "{\"t\": 7}")],
    [("user", "Two?"), ("assistant", "calling"), ("tool", "1"), ("tool", "2\n"), ("assistant", "3"), ("tool", "4"), ("user", "so?")],
    [("tool", "first")],
    [("assistant", "I begin."), ("user", "ok")],
]
PREFIXES = ["", "Sure, ", "\n```python\n"]


class Oracle:
    def __init__(self, name):
        self.models = [llama_cpp.Llama(str(MODELS / file), vocab_only=True, verbose=False)
                       for file in FILES[name]]

    def agreed(self, answers):
        assert all(answer == answers[0] for answer in answers), answers
        return answers[0]

    def ids(self, text, special):
        data = text.encode("utf-8", "surrogatepass")
        return self.agreed([m.tokenize(data, add_bos=False, special=special) for m in self.models])

    def render(self, turns):
        environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)
        messages = [{"role": role, "content": content} for role, content in turns]
        return self.agreed([
            environment.from_string(m.metadata["tokenizer.chat_template"])
            .render(messages=messages, add_generation_prompt=True) for m in self.models])


def write(path, lines):
    with open(path, "w") as out:
        for line in lines:
            out.write(json.dumps(line, separators=(",", ":")) + "\n")
    print(f"{path}: {len(lines)} lines, {path.stat().st_size} bytes")


def hexed(text):
    return text.encode("utf-8", "surrogatepass").hex()


def main():
    oracles = {name: Oracle(name) for name in FILES}
    fixed = PLAIN + CODE + SCRIPTS + EMOJI + MARKS + CONTROLS + NUMBERS + SPACES + SPECIALS + RUNS
    cases = [(text, False) for text in dict.fromkeys(fixed + generated(60))]
    cases += [(text, True) for text in SPECIALS]
    write(GOLDEN / "tokenizer.jsonl",
          [{"text": hexed(text), "special": int(special)} |
           {name: oracle.ids(text, special) for name, oracle in oracles.items()}
           for text, special in cases])
    write(GOLDEN / "chat_template.jsonl",
          [{"model": name, "turns": [[role, hexed(content)] for role, content in turns],
            "prefix": hexed(prefix),
            "ids": oracle.ids(oracle.render(turns), True) + oracle.ids(prefix, False)}
           for name, oracle in oracles.items() for turns in CONVERSATIONS
           for prefix in (PREFIXES if turns is CONVERSATIONS[0] else PREFIXES[:1])])


if __name__ == "__main__":
    main()
