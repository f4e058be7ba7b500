"""openai/CLIP's transform by torchvision on Pillow, in one thread. See bench/preprocess.ts.

    preprocess_peer.py FOLDER PASSES
"""
import hashlib
import json
import os
import platform
import sys
import time

import PIL
import torch
import torchvision
from PIL import Image
from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Normalize, Resize, ToTensor

torch.set_num_threads(1)
MEAN, DEVIATION = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


def main(folder, passes):
    files = [os.path.join(folder, name) for name in sorted(os.listdir(folder))]
    resize = Compose(
        [Resize(224, interpolation=InterpolationMode.BICUBIC), CenterCrop(224), lambda image: image.convert("RGB")]
    )
    transform = Compose([*resize.transforms, ToTensor(), Normalize(MEAN, DEVIATION)])

    def whole():
        for file in files:
            transform(Image.open(file))

    decoded = [Image.open(file).convert("RGB") for file in files]

    def resized():
        for image in decoded:
            resize(image)

    def seconds(work):
        before = time.process_time()
        work()
        return time.process_time() - before

    digest = hashlib.sha256()
    for file in files:
        digest.update(resize(Image.open(file)).tobytes())
    for _ in range(3):
        whole()
    result = {
        "pixels": digest.hexdigest(),
        "whole": [],
        "resized": [],
        "versions": {
            "python": platform.python_version(),
            "torchvision": torchvision.__version__,
            "Pillow": PIL.__version__,
        },
    }
    for _ in range(int(passes)):
        result["whole"].append(seconds(whole))
        result["resized"].append(seconds(resized))
    print(json.dumps(result))


main(*sys.argv[1:])
