"""Small tokenizers of the kinds that SigLIP's models have, and what they make of texts: ../sentencepiece/.

siglip.model     a sentencepiece unigram model with T5's settings, as google/siglip-* keep theirs in spiece.model
siglip.json.gz   the same as a tokenizer.json, as timm/ViT-*-SigLIP keep it
siglip2.json.gz  byte-pair encoding with byte fallback as Gemma's, which SigLIP 2 has
multilingual.model, multilingual.json.gz  as mT5's, which SigLIP's multilingual models have: unknown characters fall back to
                 bytes, and sentinels behind the last piece stand for no text; no normalisation, which keeps the files small
multilingual-cases.json.gz  texts and their rows of ids: SigLIP's of multilingual.model, tokenizers' of multilingual.json
cases.json.gz    texts and their rows of ids: transformers' SiglipTokenizer (siglip.model), open_clip's HFTokenizer with
                 clean="canonicalize" (siglip.json), transformers' Siglip2Tokenizer (siglip2.json); context 16

The corpus is Python's names of characters, and the characters. sentencepiece 0.2.3, tokenizers 0.23.3, transformers
5.24.0, open_clip_torch 3.3.0, Python 3.11.
"""

import gzip
import io
import json
import random
import sys
import tempfile
import unicodedata
from pathlib import Path

import sentencepiece
from open_clip.tokenizer import get_clean_fn
from sentencepiece import sentencepiece_model_pb2
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import SiglipTokenizer
from transformers.models.siglip2.tokenization_siglip2 import Siglip2Tokenizer

FOLDER = Path(__file__).parent.parent / "sentencepiece"
CONTEXT = 16
TEMPLATES = ["a photo of a {}.", "a bad photo of the {}.", "an origami {}.", "a drawing of {}, in black and white", "this is a photo of {}."]


def corpus():
    rng = random.Random(0)
    lines = []
    for code in range(0x20, 0x20000):
        character = chr(code)
        name = unicodedata.name(character, "").lower()
        if name and unicodedata.category(character)[0] in "LNPS" and "cjk unified" not in name and "hangul syll" not in name:
            lines.append(rng.choice(TEMPLATES).format(name))
            if code < 0x3100:
                lines.append(f"{character}{chr(code + 1)} {character.lower()} {name.split(' ')[-1]}")
    return lines


def unigram(lines):
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=out, vocab_size=1200, model_type="unigram", pad_id=0, eos_id=1,
        unk_id=2, bos_id=-1, character_coverage=0.98, normalization_rule_name="nmt_nfkc", num_threads=1, minloglevel=2,
    )
    return out.getvalue()


def multilingual(lines):
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=out, vocab_size=700, model_type="unigram", pad_id=0, eos_id=1, unk_id=2,
        bos_id=-1, character_coverage=0.98, normalization_rule_name="identity", byte_fallback=True, num_threads=1, minloglevel=2,
    )
    proto = sentencepiece_model_pb2.ModelProto.FromString(out.getvalue())
    for i in reversed(range(3)):
        proto.pieces.add(piece=f"▁<extra_id_{i}>", score=0, type=4)
    return proto.SerializeToString()


def as_tokenizer_json(model, byte_fallback=False):
    """As transformers converted T5's models when timm's were uploaded."""
    proto = sentencepiece_model_pb2.ModelProto.FromString(model)
    vocab = [(p.piece, p.score) for p in proto.pieces]
    tokenizer = Tokenizer(models.Unigram(vocab, unk_id=2, byte_fallback=byte_fallback))
    special = [AddedToken(p.piece, special=True, normalized=False) for p in proto.pieces if p.type in (2, 3)]
    tokenizer.add_special_tokens(special)
    charsmap = proto.normalizer_spec.precompiled_charsmap
    spaces = [normalizers.Strip(left=False, right=True), normalizers.Replace(Regex(" {2,}"), "▁")]
    tokenizer.normalizer = normalizers.Sequence([*([normalizers.Precompiled(charsmap)] if charsmap else []), *spaces])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing(single=["$A", "</s>"], special_tokens=[("</s>", 1)])
    return tokenizer


def gemma(lines):
    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"]
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Lowercase(), normalizers.Replace(" ", "▁")])
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    tokenizer.train_from_iterator(
        lines,
        trainers.BpeTrainer(
            vocab_size=1500, special_tokens=special + [f"<0x{b:02X}>" for b in range(256)], limit_alphabet=500, show_progress=False
        ),
    )
    model = json.loads(tokenizer.to_str())["model"]
    made = Siglip2Tokenizer(vocab=model["vocab"], merges=[tuple(m) for m in model["merges"]])
    made._tokenizer.post_processor = processors.TemplateProcessing(single=["$A", "<eos>"], special_tokens=[("<eos>", 1)])
    return made


def texts():
    rng = random.Random(1)
    fixed = [
        "", " ", "a", "a photo of a cat", "A Photo of a CAT.", "two  spaces\tand\na line", "under_score", "semi-colon; don't, (really)!",
        "naïve café", "ＦＵＬＬ width １２３", "ﬁne ﬂat", "½ of ³", "Ⅷ ℃ ㍍", "ＡＢＣ～", "straße ẞ İstanbul ΣΑΣ", "日本語のテキスト", "中文 文本",
        "한국어 텍스트", "עברית", "العربية", "हिन्दी भाषा", "ไทย", "🙂 smile 👩‍👩‍👧‍👦 family 🇩🇪", "▁underline▁", "▁", "a▁b", "</s>", "end </s> here", "<unk>", "<pad> <eos>",
        "\u00a0nbsp\u00a0", "zero\u200bwidth\u200djoin", "\ufeffbom", "control\x01\x07\x7f", "combining e\u0301 o\u0308\u0301", "\u1100\u1161\u11a8", "tab\there",
        "e\u0301\u0327", "$%^&*", "...", "word " * 30, "antidisestablishmentarianism" * 3, "x" * 70, "𝔣𝔯𝔞𝔨𝔱𝔲𝔯 𝟙𝟚", "\ud7ff\ue000", "\U0010ffff", "ﷺ", "ǆ Ǆ ǅ",
        "ΣΑΣ", "ΟΔΟΣ ΣΟΦΟΣ.", "cafÃ© crÃ¨me", "a cat&#39;s &amp;amp; a dog&rsquo;s tail", "&lt;b&gt;bold&lt;/b&gt;", "â€œquotedâ€", "ÐšÐ¾Ñ‚", "x[31mred[0m",
    ]
    for _ in range(500):
        parts = []
        for _ in range(rng.randint(1, 6)):
            kind = rng.random()
            if kind < 0.5:
                name = unicodedata.name(chr(rng.randrange(0x20, 0x2800)), "cat").lower()
                parts.append(rng.choice(TEMPLATES).format(name) if kind < 0.1 else rng.choice(name.split()))
            elif kind < 0.8:
                parts.append("".join(chr(rng.choice([rng.randrange(0x20, 0x250), rng.randrange(0x20, 0x3000)])) for _ in range(rng.randint(1, 5))))
            else:
                points = [rng.choice([rng.randrange(0x3000, 0xD800), rng.randrange(0xF900, 0x10000), rng.randrange(0x10000, 0x20000)]) for _ in range(rng.randint(1, 4))]
                parts.append("".join(map(chr, points)))
        fixed.append(rng.choice([" ", " ", "  ", "", "-"]).join(parts))
    # Whether younger characters are letters depends on the version of Unicode.
    return [t for t in fixed if all(unicodedata.category(c) != "Cn" or c == "\U0010ffff" for c in t)]


def padded(ids, end, padding):
    return [*ids[: CONTEXT - 1], end] + [padding] * (CONTEXT - 1 - len(ids))


def siglip_tokenizer(model):
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "spiece.model"
        path.write_bytes(model)
        return SiglipTokenizer(str(path))


def main():
    FOLDER.mkdir(exist_ok=True)
    lines = corpus()
    model = unigram(lines)
    (FOLDER / "siglip.model").write_bytes(model)
    siglip = siglip_tokenizer(model)
    fast, second, clean = as_tokenizer_json(model), gemma(lines), get_clean_fn("canonicalize")

    def write(name, text):
        (FOLDER / name).write_bytes(gzip.compress(text.encode(), mtime=0))

    write("siglip.json.gz", fast.to_str())
    write("siglip2.json.gz", second._tokenizer.to_str())
    rows = []
    for text in texts():
        first = siglip(text, padding="max_length", truncation=True, max_length=CONTEXT).input_ids
        ids = fast.encode(clean(text), add_special_tokens=False).ids
        gemmas = second._tokenizer.encode(text, add_special_tokens=False).ids
        rows.append([text, first, padded(ids, 1, 1), padded(gemmas, 1, 0)])
    write("cases.json.gz", lines_of(rows))
    print(len(rows), "texts", file=sys.stderr)

    model = multilingual(lines)
    (FOLDER / "multilingual.model").write_bytes(model)
    siglip, fast = siglip_tokenizer(model), as_tokenizer_json(model, byte_fallback=True)
    write("multilingual.json.gz", fast.to_str())
    rows = []
    for text in texts():
        # Spaces and marks of other kinds are the normalisation's; transformers splits texts at special tokens before it cleans them.
        plain = all(c == " " or unicodedata.category(c)[0] in "LNPS" for c in text)
        if not plain or any(mark in text for mark in ("▁", "</s>", "<unk>")):
            continue
        first = siglip(text, padding="max_length", truncation=True, max_length=CONTEXT).input_ids
        rows.append([text, first, padded(fast.encode(clean(text), add_special_tokens=False).ids, 1, 1)])
    write("multilingual-cases.json.gz", lines_of(rows))
    print(len(rows), "texts of many scripts", file=sys.stderr)


def lines_of(rows):
    return "[\n" + ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows) + "\n]\n"


if __name__ == "__main__":
    main()
