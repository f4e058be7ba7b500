"""Small pictures of every kind that Pillow reads, and what open_clip's evaluation transform makes of them.

    pip install pillow==13.0.0 open_clip_torch==3.3.0
    python test/golden/make/preprocess.py > test/golden/preprocess/pillow.json

GIFs, BMPs and PNGs are also written byte by byte here: frames that do not fill the screen, odd colour tables, run lengths,
masks, all PNG depths. Each file is in base64; of each result there is the SHA-256 of its RGB bytes.
"""

import base64
import hashlib
import io
import json
import random
import struct
import sys
import warnings
import zlib

import numpy as np
import PIL
from open_clip.transform import image_transform
from PIL import Image

warnings.simplefilter("ignore")
pick = random.Random(20)
noise = np.random.default_rng(20)
cases = []


def size():
    return pick.choice([(pick.randint(1, 12), pick.randint(1, 12)), (pick.randint(8, 32), pick.randint(1, 20))])


def samples(count, below=256):
    return noise.integers(0, below, count).astype("u1").tobytes()


def texture(width, height, channels):
    y, x = np.mgrid[:height, :width]
    waves = [128 + 100 * np.sin(x / pick.uniform(1, 9) + i) + 27 * np.cos(y / pick.uniform(1, 9)) for i in range(channels)]
    grain = noise.integers(-20, 20, (height, width, channels))
    return (np.stack(waves, -1) + grain).clip(0, 255).astype("u1")


def picture(mode):
    width, height = size()
    if mode == "P":
        colours = Image.fromarray(texture(width, height, 3))
        return colours.quantize(pick.choice([2, 3, 16, 64]), dither=0)
    if mode == "1":
        return Image.fromarray(texture(width, height, 1)[..., 0]).convert("1")
    if mode in ("I;16", "I", "F"):
        kind = {"I;16": "u2", "I": "i4", "F": "f4"}[mode]
        return Image.fromarray((texture(width, height, 1)[..., 0] * pick.choice([0.7, 1, 2])).astype(kind))
    if mode == "CMYK":
        return Image.merge("CMYK", [Image.fromarray(texture(width, height, 1)[..., 0]) for _ in range(4)])
    channels = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4}[mode]
    pixels = texture(width, height, channels)
    return Image.fromarray(pixels[..., 0] if channels == 1 else pixels, mode)


def encoded(image, file_format, **options):
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def add(what, data):
    configs = [
        {"size": pick.choice([3, 7, 16]), "resize": "shortest", "interpolation": "bicubic", "fill": 0},
        {
            "size": pick.choice([5, [pick.randint(3, 20), pick.randint(3, 20)]]),
            "resize": pick.choice(["longest", "squash", "longest"]),
            "interpolation": pick.choice(["bicubic", "bilinear"]),
            "fill": pick.choice([0, 1, 130]),
        },
    ]
    expected = []
    for config in configs:
        try:
            transform = image_transform(
                config["size"] if isinstance(config["size"], int) else tuple(config["size"]),
                is_train=False,
                resize_mode=config["resize"],
                interpolation=config["interpolation"],
                fill_color=config["fill"],
            )
            image = Image.open(io.BytesIO(data))
            for step in transform.transforms[:-2]:
                image = step(image)
            config["sha256"] = hashlib.sha256(image.tobytes()).hexdigest()
        except Exception as error:
            config["error"] = f"{type(error).__name__}: {error}"
        expected.append(config)
    cases.append({"what": what, "data": base64.b64encode(data).decode(), "expected": expected})


def png(depth, colour, interlaced):
    width, height = size()
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    def rows(width, height):
        return b"".join(bytes([pick.randint(0, 4)]) + samples((width * channels * depth + 7) // 8) for _ in range(height))

    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    data = b""
    for x, y, dx, dy in passes if interlaced else [(0, 0, 1, 1)]:
        across, down = (width - x + dx - 1) // dx, (height - y + dy - 1) // dy
        if across > 0 and down > 0:
            data += rows(across, down)
    out = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced))
    if colour == 3:
        out += chunk(b"PLTE", samples(3 << depth))
    if pick.random() < 0.5:
        if colour == 3:
            out += chunk(b"tRNS", samples(pick.randint(1, 1 << depth)))
        elif colour in (0, 2):
            out += chunk(b"tRNS", struct.pack(">H", pick.randint(0, (1 << depth) - 1)) * channels)
    return out + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


def lzw(pixels, bits):
    """Codes of one width: the table is cleared before it would grow."""
    clear, width = 1 << bits, bits + 1
    stream = used = 0
    for i, pixel in enumerate(pixels):
        if i % max(1, clear - 2) == 0:
            stream |= clear << used
            used += width
        stream |= int(pixel) << used
        used += width
    stream |= (clear + 1) << used
    data = stream.to_bytes((used + width + 7) // 8, "little")
    blocks = [data[i : i + 255] for i in range(0, len(data), 255)]
    return b"".join(bytes([len(block)]) + block for block in blocks) + b"\0"


def gif():
    width, height = size()
    bits = pick.randint(1, 8)
    has_global = pick.random() < 0.8
    has_local = not has_global or pick.random() < 0.2
    is_ramp = pick.random() < 0.15

    def table():
        return b"".join(bytes([i] * 3) for i in range(1 << bits)) if is_ramp else samples(3 << bits)

    out = b"GIF89a" + struct.pack("<HHBBB", width, height, has_global << 7 | bits - 1, 0, 0)
    out += table() if has_global else b""
    if pick.random() < 0.6:
        flags = pick.randint(0, 3) << 2 | (pick.random() < 0.7)
        out += b"!\xf9\x04" + bytes([flags, 0, 0, pick.randint(0, (1 << bits) - 1), 0])
    left, top = pick.randint(0, width - 1), pick.randint(0, height - 1)
    across, down = pick.randint(1, width - left + 1), pick.randint(1, height - top + 1)
    if pick.random() < 0.5:
        left, top, across, down = 0, 0, width, height
    out += b"," + struct.pack("<HHHHB", left, top, across, down, has_local << 7 | (pick.random() < 0.4) << 6 | bits - 1)
    out += table() if has_local else b""
    code = max(2, bits)
    count = across * down - (pick.random() < 0.05)
    return out + bytes([code]) + lzw(noise.integers(0, 1 << bits, count), code) + b";"


def bmp(bits, header, compression, masks=b""):
    width, height = size()
    colours, table, entry = 0, b"", 3 if header == 12 else 4
    if bits <= 8:
        number = 1 << bits
        if header > 12 and pick.random() < 0.4:
            number = colours = pick.randint(1, number)
        ramp = b"".join(bytes([i] * entry) for i in range(number))
        table = pick.choice([samples(entry * number), samples(entry * number), ramp])
    if compression in (1, 2):
        data = b""
        for _ in range(height):
            x = 0
            while x < width:
                n = pick.randint(1, min(9, width - x))
                if n > 2 and pick.random() < 0.5:
                    run = samples(n if compression == 1 else (n + 1) // 2)
                    data += bytes([0, n]) + run + b"\0" * (len(run) % 2)
                else:
                    data += bytes([n]) + samples(1)
                x += n
            data += b"\0\0"
        data += b"\0\1"
    else:
        data = samples((width * bits + 31) // 32 * 4 * height)
    is_down = header > 12 and compression in (0, 3) and pick.random() < 0.3
    if header == 12:
        head = struct.pack("<IHHHH", 12, width, height, 1, bits)
    else:
        rows = -height if is_down else height
        head = struct.pack("<IiiHHIIiiII", header, width, rows, 1, bits, compression, len(data), 0, 0, colours, 0)
        head = (head + masks).ljust(header, b"\0")
    start = 14 + len(head) + len(table)
    return b"BM" + struct.pack("<IHHI", start + len(data), 0, 0, start) + head + table + data


for depth, colour in [(1, 0), (2, 0), (4, 0), (8, 0), (16, 0), (8, 2), (16, 2), (8, 4), (16, 4), (8, 6), (16, 6)] + [
    (bits, 3) for bits in (1, 2, 4, 8)
]:
    for interlaced in (0, 1):
        add(f"png, {depth} bits, colour type {colour}, interlaced {interlaced}", png(depth, colour, interlaced))
for mode in ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"]:
    add(f"png {mode}", encoded(picture(mode), "PNG"))
for _ in range(24):
    add("gif", gif())
for disposal in range(4):
    frames = [Image.fromarray(texture(9, 11, 4)) for _ in range(3)]
    add("animated gif", encoded(frames[0], "GIF", save_all=True, append_images=frames[1:], disposal=disposal))
for bits in (1, 4, 8, 24):
    add(f"bmp, {bits} bits, old header", bmp(bits, 12, 0))
for bits in (1, 1, 1, 4, 4, 8, 8, 8, 16, 24, 32):
    add(f"bmp, {bits} bits", bmp(bits, pick.choice([40, 64, 108, 124]), 0))
for _ in range(4):
    add("bmp, run lengths of 8 bits", bmp(8, 40, 1))
    add("bmp, run lengths of 4 bits", bmp(4, 40, 2))
for masks in [(0xF800, 0x7E0, 0x1F), (0x7C00, 0x3E0, 0x1F), (0xF000, 0xF00, 0xF0)]:
    add(f"bmp, 16 bits, masks {masks}", bmp(16, 40, 3, struct.pack("<III", *masks)))
for masks in [
    (0xFF0000, 0xFF00, 0xFF, 0),
    (0xFF000000, 0xFF0000, 0xFF00, 0),
    (0xFF000000, 0xFF00, 0xFF, 0),
    (0xFF000000, 0xFF0000, 0xFF00, 0xFF),
    (0xFF, 0xFF00, 0xFF0000, 0xFF000000),
    (0xFF0000, 0xFF00, 0xFF, 0xFF000000),
    (0xFF000000, 0xFF00, 0xFF, 0xFF0000),
    (0xFF, 0xFF00, 0xFF0000, 0),
]:
    add(f"bmp, 32 bits, masks {masks}", bmp(32, 108, 3, struct.pack("<IIII", *masks)))
for subsampling in ["4:4:4", "4:2:2", "4:2:0"]:
    for options in [{"quality": 30}, {"quality": 95}, {"progressive": True}, {"restart_marker_blocks": 1}]:
        add(f"jpeg {subsampling} {options}", encoded(picture("RGB"), "JPEG", subsampling=subsampling, **options))
add("jpeg of RGB", encoded(picture("RGB"), "JPEG", keep_rgb=True))
add("jpeg L", encoded(picture("L"), "JPEG"))
for quality in (60, 95):
    add("jpeg CMYK", encoded(picture("CMYK"), "JPEG", quality=quality))
for mode in ["RGB", "RGBA", "L"]:
    for lossless in (False, True):
        add(f"webp {mode}, lossless {lossless}", encoded(picture(mode), "WEBP", lossless=lossless))
for mode in [3, 4]:
    frames = [Image.fromarray(texture(14, 9, mode)) for _ in range(2)]
    add("animated webp", encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:]))
for mode in ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F"]:
    for compression in (None, "tiff_lzw"):
        add(f"tiff {mode} {compression}", encoded(picture(mode), "TIFF", compression=compression))
for orientation in (2, 6, 7):
    add(f"tiff, orientation {orientation}", encoded(picture("RGB"), "TIFF", tiffinfo={274: orientation}))

about = f"Pillow {PIL.__version__}; test/golden/make/preprocess.py"
lines = ",\n".join(json.dumps(case) for case in cases)
sys.stdout.write(f'{{"about": "{about}", "cases": [\n{lines}\n]}}\n')
