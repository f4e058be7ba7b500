"""Small data sets as other libraries write them: ../tasks/.

Twelve pictures of 6 x 4 pixels in three classes. Hugging Face's `datasets` writes hub.parquet (snappy, ClassLabel in its metadata, a column
of structs of bytes and path) and its words.parquet (zstd, plain bytes, labels that are texts, row groups of five); `webdataset` writes two
shards in CLIP_benchmark's layout; several.tar has numpy labels of one axis. pixels.json has what Pillow reads of each picture.
Needs datasets 5.2.0, pyarrow 26.0.1, webdataset 1.0.2, pillow, numpy.

    python tasks.py
"""
import io
import json
from pathlib import Path

import datasets
import numpy
import pyarrow
import pyarrow.parquet
import webdataset
from PIL import Image

OUT = Path(__file__).parent.parent / "tasks"
NAMES = ["red fox", "grey wolf", "polar bear"]
random = numpy.random.default_rng(7)
pixels = random.integers(0, 256, (12, 4, 6, 3), dtype=numpy.uint8)
labels = [int(x) for x in random.integers(0, 3, 12)]


def png(array):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return buffer.getvalue()


files = [png(array) for array in pixels]
features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=NAMES), "note": datasets.Value("string")})
rows = {"image": [{"bytes": b, "path": f"{i}.png"} for i, b in enumerate(files)], "label": labels, "note": ["x" * 50] * 12}
datasets.Dataset.from_dict(rows, features=features).to_parquet(str(OUT / "hub.parquet"))

words = pyarrow.table({"picture": pyarrow.array(files, pyarrow.binary()), "animal": [NAMES[i] for i in labels]})
pyarrow.parquet.write_table(words, OUT / "words.parquet", compression="zstd", row_group_size=5)

for shard in range(2):
    with webdataset.TarWriter(str(OUT / f"wds/test/{shard}.tar")) as sink:
        for i in range(6 * shard, 6 * shard + 6):
            sink.write({"__key__": f"s{i:07d}", "png": files[i], "cls": labels[i]})
(OUT / "wds/classnames.txt").write_text("\n".join(NAMES) + "\n")
(OUT / "wds/zeroshot_classification_templates.txt").write_text("a photo of a {c}.\na drawing of the {c}.\n")

with webdataset.TarWriter(str(OUT / "several.tar")) as sink:
    for i in range(3):
        flags = numpy.array([1, i % 2, 0], dtype=["int64", "uint8", "float32"][i])
        sink.write({"__key__": f"folder/s{i}", "png": files[i], "npy": flags})

(OUT / "pixels.json").write_text(json.dumps({"names": NAMES, "labels": labels, "pixels": pixels.reshape(12, -1).tolist()}, separators=(",", ":")))
