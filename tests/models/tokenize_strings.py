"""tokenize_strings - texts that are hard on tokenizers, the same ones every time.

strings(seed, n) gives n odd ones as bytes: mixed scripts, digits, white space, contractions, emoji, combining
marks. code() cuts the project's own sources up; runs() repeats one character; broken() is no UTF-8. No text
holds a NUL byte.
"""
import glob
import os
import random

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")

POOLS = [
    "abcdefghijklmnopqrstuvwxyz",
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabc",
    "0123456789",
    " ",
    " \t\n\r\v\f",
    "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~",
    ["'s", "'t", "'re", "'ve", "'LL", " 'm", "'D", "'S ", "n't", "’s"],
    "àéîõüßñçøåœÆŁžğİıſÀÉÎÕ",
    "СтрокаСТРОКАπλΩΣЖ",
    "אבגדמرحباनमस्तेไทย한국어",
    "中文字符日本語ひらカター。、「」！？",
    "٣४५²³½Ⅷ㊿①",
    ["🙂", "👩‍👩‍👧", "🇩🇪", "☕️", "✈", "𝒜", "𐐷", "𠀀"],
    "\u00a0\u2003\u3000\u200d\u0301\u0345\ufeff\u2028\x85\x1c\x1f\u180e\u00ad",
    ["\u0300", "\u0301\u0302", "e\u0301", "\U000e0041", "\ufffd", "\ue000", "\u0378"],
    ["\n", "\n\n", "\r\n", " \n", "\n ", "  ", "\t", "\n\n\n", "/", "//", "/\n", "!\n"],
    ["the", " the", "Hello", " World", "camelCase", "HTTPServer", "iPhone", "XÉcole", "ÉCOLE", "McDonald's"],
    ["<|im_start|>", "<|im_end|>", "<s>", "</s>", "<unk>", "<|endoftext|>", "<0x0A>", "▁", "Ġ", "[EMPTY]"],
    ["1", "12", "123", "1234", "12345678901", "3.14", "1,000", "0x1F", "1e-9", " 7"],
]


def strings(seed, n):
    choose = random.Random(seed)
    texts = []
    for _ in range(n):
        parts = []
        for _ in range(choose.randrange(1, 12)):
            pool = choose.choice(POOLS)
            parts += [choose.choice(pool) for _ in range(choose.randrange(1, 6))]
        texts.append("".join(parts).encode("utf-8"))
    return texts


def code():
    names = sorted(glob.glob(os.path.join(TOP, "base", "*.c")) + glob.glob(os.path.join(TOP, "*.md")))
    texts = []
    for name in names:
        with open(name, "rb") as source:
            text = source.read()
        texts += [text[i:i + 700] for i in range(0, len(text), 700)]
    return texts


def runs(longest):
    texts = []
    for character in "aA0 \n\t!-=./'_é中🙂\u00a0\u0301Ġ▁":
        for size in (1, 2, 3, 4, 5, 7, 16, 33, 64, 100, 1000, longest):
            texts.append((character * size).encode("utf-8"))
            texts.append(("x" + character * size + "y").encode("utf-8"))
    return texts


def broken(seed, n):
    choose = random.Random(seed)
    pieces = [b"\x80", b"\xbf", b"\xc3", b"\xe4\xb8", b"\xf0\x9f\x99", b"\xff", b"\xfe", b"\xf8\x88", b"a",
              b" ", b"\xc3\xa9", b"\xe4\xb8\xad", b"\xf0\x9f\x99\x82", b"1", b"\n", b"\xed\xa0\x80",
              b"\xe0\x81\x81", b"\xf4\x90\x80\x80",
              b"\xc0\xaf", b"\xf0\x80\x80\xaf", b"\xed\xa0\xbd\xed\xb8\x80", b"\xf5\x80\x80\x80"]
    return [b"".join(choose.choice(pieces) for _ in range(choose.randrange(1, 9))) for _ in range(n)]
