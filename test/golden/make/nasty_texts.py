"""Texts that are hard to clean, with what the official code makes of them: ../tokenizer/nasty.json.gz.

Cleaning is openai/CLIP's (ftfy, html.unescape, regex), byte-pair encoding is open_clip's SimpleTokenizer, which has
the same merges. Needs ftfy 6.3.1, regex, open_clip_torch 3.3.0; Python 3.11 for Unicode 14. Texts with code points
younger than that are left out, since their classes depend on the version.

    python nasty_texts.py SEED COUNT > ../tokenizer/nasty.json.gz
"""
import gzip
import html
import html.entities
import json
import random
import sys
import unicodedata

import ftfy
import ftfy.bad_codecs
import open_clip.tokenizer
import regex

PATTERN = regex.compile(
    r"""<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+""",
    regex.IGNORECASE,
)
MARKS = {"<|startoftext|>": 49406, "<|endoftext|>": 49407}
bpe = open_clip.tokenizer.SimpleTokenizer()


def clean(text):
    text = html.unescape(html.unescape(ftfy.fix_text(text))).strip()
    return regex.sub(r"\s+", " ", text).strip().lower()


def encode(cleaned):
    ids = []
    for word in regex.findall(PATTERN, cleaned):
        if word in MARKS:
            ids.append(MARKS[word])
            continue
        symbols = "".join(bpe.byte_encoder[byte] for byte in word.encode("utf-8"))
        ids.extend(bpe.encoder[token] for token in bpe.bpe(symbols).split(" "))
    return ids


WORDS = (
    "photo the cat café naïve résumé Ärger straße ŒUVRE Привет МИР Ελλάς ΣΟΦΟΣ שלום مرحبا नमस्ते ภาษา 日本語 東京 한국어 "
    "don't it's we've I'll they're “hello” ‘hi’ — – … ™ © ® € £ ¥ ¿Qué? ½ x² 10° İstanbul ﬁne ﬄuent ŉ ĳ ǆ Ａｂｃ １２３ ！？ "
    "ﾊﾝｶｸ 🚀 ❤️ 👨‍👩‍👧 🇩🇪 👍🏽 1️⃣ \u200b \ufeff \u00ad e\u0301 a\u0323\u0308 각 K Å Ω ﷺ ㎏ \u2028 \x85 \xa0"
).split(" ")
ENCODINGS = [
    *("latin-1", "sloppy-windows-1252", "sloppy-windows-1251", "sloppy-windows-1250", "sloppy-windows-1253"),
    *("sloppy-windows-1254", "sloppy-windows-1257", "iso-8859-2", "macroman", "cp437"),
]
OTHERS = ["cp1252", "cp1255", "cp1256", "koi8-r", "utf-16-le", "shift-jis", "gbk", "cp850"]
CONTROLS = [*range(0x20), *range(0x7F, 0xA1), 0x1680, 0x180E, *range(0x2000, 0x2010), *range(0x2028, 0x2030)]
CONTROLS += [0x205F, 0x2060, *range(0x206A, 0x2070), 0x3000, 0xFEFF, *range(0xFFF9, 0xFFFE)]
ASSIGNED = [c for c in map(chr, range(0x20, 0x3FFFF)) if unicodedata.category(c) not in ("Cn", "Co", "Cs")]
ENTITIES = [f"&{name}" for name in html.entities.html5]
ODD = [
    *("<|startoftext|>", "<|endoftext|>", "<|ENDOFTEXT|>", "<|ſtartoftext|>", "<|endoftext", "&lt;|endoftext|&gt;"),
    *("</w>", "<b>", "<", "'S", "'ſ", "'T", "'RE", "’s", "ʼll", "'\u0345s", "\u0345", "ΑΣ", "Σ'", "ΑΣ\u0301", "İ", "ẞ"),
    *("\x1b[31m", "\x1b[0;1;32m", "\x1b[", "\x1b[٣m", "\ud83d", "\ude00", "\ud83d\ude00", "\udfff\ud800"),
]


def misread(random, text):
    """As a program leaves it that took the bytes of one encoding for another, up to three times."""
    for _ in range(random.randint(1, 3)):
        encoding = random.choice(ENCODINGS + ENCODINGS + OTHERS)
        data = text.encode(random.choice(["utf-8", "utf-8", "utf-8-sig", "utf-16-le"]), "surrogatepass")
        text = data.decode(encoding, random.choice(["replace", "ignore"]))
    change = random.choice([None, None, str.upper, str.lower, "space", "quote", html.escape])
    if change == "space":
        return text.replace("\xa0", " ")
    if change == "quote":
        return ftfy.fixes.uncurl_quotes(text)
    return change(text) if change else text


def utf8_like(random):
    """Bytes that are nearly UTF-8, as an old encoding shows them."""
    kinds = [
        lambda: bytes([random.randint(0xC2, 0xF4), *(random.randint(0x80, 0xBF) for _ in range(random.randint(1, 3)))]),
        lambda: bytes([random.choice([0x3F, 0x1A, 0x20, 0xA0, 0xC0, 0xED, random.randint(0x20, 0x7E)])]),
        lambda: bytes([0xED, random.randint(0xA0, 0xAF), 0x80, 0xED, random.randint(0xB0, 0xBF), random.randint(0x80, 0xBF)]),
        lambda: random.choice([b"\xc0\x80", b"\n", b"\r\n", b"\xc3\xa9", b"\xe2\x80\x99"]),
    ]
    data = b"".join(random.choice(kinds)() for _ in range(random.randint(1, 6)))
    return data.decode(random.choice(ENCODINGS), "replace")


def entity(random):
    name = random.choice(ENTITIES)
    number = random.choice([random.randint(0, 300), random.randint(0, 0x110010), random.randint(0xD7F0, 0xE010)])
    forms = [name, name.upper(), name.rstrip(";"), name.rstrip(";") + random.choice("aZ1;< "), html.escape(name)]
    return random.choice([*forms, f"&#{number};", f"&#x{number:x};", f"&#X{number:X}", f"&amp;#{number};"])


def piece(random):
    some = lambda items, most: "".join(random.choice(items) for _ in range(random.randint(1, most)))
    words = lambda: " ".join(random.choice(WORDS) for _ in range(random.randint(1, 5)))
    kinds = [
        (20, words),
        (25, lambda: misread(random, words())),
        (15, lambda: utf8_like(random)),
        (10, lambda: entity(random)),
        (5, lambda: some([chr(c) for c in CONTROLS], 4)),
        (7, lambda: random.choice(ODD)),
        (8, lambda: unicodedata.normalize(random.choice(["NFC", "NFD", "NFKC", "NFKD"]), some(ASSIGNED, 6))),
        (10, lambda: some([chr(c) for c in range(0x20, 0x250)], 10)),
    ]
    [make] = random.choices([kind for _, kind in kinds], [weight for weight, _ in kinds])
    return make()


def main(seed, count):
    source = random.Random(seed)
    cases = []
    while len(cases) < count:
        text = source.choice(["", " ", ""]).join(piece(source) for _ in range(source.choice([1, 1, 2, 2, 3, 5])))
        cleaned = clean(text)
        if any(unicodedata.category(c) == "Cn" for c in cleaned):
            continue
        try:
            cases.append([text, cleaned, encode(cleaned)])
        except UnicodeEncodeError:
            continue  # a lone surrogate is left: an error officially
    lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
    sys.stdout.buffer.write(gzip.compress(f"[\n{lines}\n]\n".encode(), 9, mtime=0))


main(int(sys.argv[1]), int(sys.argv[2]))
