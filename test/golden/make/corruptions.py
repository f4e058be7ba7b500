"""Corrupted pictures as the published code makes them: test/golden/corruptions/.

Needs imagecorruptions 1.1.2 (ImageNet-C's functions as a package), numpy, scipy, scikit-image, opencv-python-headless, Pillow.
Usage: python corruptions.py OUT_FOLDER

What is deterministic is kept as pictures; of what is random, the squared distance to the picture, over many draws.
"""

import json
import sys
import types

import numpy as np
import scipy.ndimage
import skimage
import skimage.color
import skimage.filters
import skimage.util
from PIL import Image, ImageDraw

# The package is of 2020: names that its libraries have moved or dropped since.
sys.modules["scipy.ndimage.interpolation"] = types.SimpleNamespace(map_coordinates=scipy.ndimage.map_coordinates)
sys.modules["pkg_resources"] = types.SimpleNamespace(resource_filename=lambda *_: "", resource_string=None)
np.float_ = np.float64
plain_gaussian = skimage.filters.gaussian
skimage.filters.gaussian = lambda image, sigma, multichannel=False, **rest: plain_gaussian(
    image, sigma, channel_axis=-1 if multichannel else None, **rest
)
import cv2  # noqa: E402
from imagecorruptions import corruptions as official  # noqa: E402

out = sys.argv[1]
width, height = 48, 40

image = Image.new("RGB", (width, height))
pixels = image.load()
for y in range(height):
    for x in range(width):
        pixels[x, y] = (40 + 4 * x, 30 + 5 * y, 220 - 2 * x - 2 * y)
draw = ImageDraw.Draw(image)
draw.ellipse((6, 5, 26, 25), fill=(230, 60, 40), outline=(255, 255, 255))
draw.rectangle((28, 18, 43, 36), fill=(0, 0, 0))
draw.line((0, 39, 47, 8), fill=(255, 240, 0), width=2)
image.save(f"{out}/source.png", optimize=True)
x = np.asarray(image)


def zoom_blur(severity):
    """As imagenet_c has it: what is too much is cut off on both sides."""
    stop, step = [(1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03)][severity - 1]
    factors = np.arange(1, stop, step)
    source = (x / 255.0).astype(np.float32)
    total = np.zeros_like(source)
    for factor in factors:
        rows, columns = (int(np.ceil(n / factor)) for n in source.shape[:2])
        top, left = (source.shape[0] - rows) // 2, (source.shape[1] - columns) // 2
        large = scipy.ndimage.zoom(source[top : top + rows, left : left + columns], (factor, factor, 1), order=1)
        top, left = (large.shape[0] - height) // 2, (large.shape[1] - width) // 2
        total += large[top : top + height, left : left + width]
    return np.clip((source + total) / (len(factors) + 1), 0, 1) * 255


def motion_blur(severity):
    radius, deviation = [(10, 3), (15, 5), (15, 8), (15, 12), (20, 15)][severity - 1]
    return np.clip(official._motion_blur(x, radius=radius, sigma=deviation, angle=30), 0, 255)


def pixelate(severity):
    """As imagenet_c has it: the package enlarges with the nearest pixel instead, which differs at exact halves."""
    share = [0.6, 0.5, 0.4, 0.3, 0.25][severity - 1]
    return image.resize((int(width * share), int(height * share)), Image.BOX).resize((width, height), Image.BOX)


fixed = {
    "defocus blur": lambda s: official.defocus_blur(image, s),
    "motion blur": motion_blur,
    "zoom blur": zoom_blur,
    "brightness": lambda s: official.brightness(image, s),
    "contrast": lambda s: official.contrast(image, s),
    "pixelate": pixelate,
    "jpeg compression": lambda s: official.jpeg_compression(image, s),
}
for name, function in fixed.items():
    strip = np.concatenate([np.uint8(np.asarray(function(s))) for s in range(1, 6)], axis=1)
    Image.fromarray(strip).save(f"{out}/{name.replace(' ', '-')}.png", optimize=True)


def elastic(source, parameters):
    """As imagenet_c has it, for any side; lengths in pixels."""
    displacement, smoothness, affine = parameters
    size = np.float32(source.shape[:2])
    middle, half = size // 2, min(source.shape[:2]) // 3
    corners = np.float32([middle + half, [middle[0] + half, middle[1] - half], middle - half])
    moved = corners + np.random.uniform(-affine, affine, size=corners.shape).astype(np.float32)
    turned = cv2.warpAffine(
        source, cv2.getAffineTransform(corners, moved), source.shape[1::-1], borderMode=cv2.BORDER_REFLECT_101
    )

    def field():
        noise = np.random.uniform(-1, 1, size=source.shape[:2])
        return plain_gaussian(noise, smoothness, mode="reflect", truncate=3) * displacement

    dx, dy = field(), field()
    columns, rows = np.meshgrid(np.arange(source.shape[1]), np.arange(source.shape[0]))
    return np.stack(
        [scipy.ndimage.map_coordinates(turned[..., c], (rows + dy, columns + dx), order=1, mode="reflect") for c in range(3)],
        axis=-1,
    )


square = np.asarray(image.crop((0, 0, 40, 40)))
elastic_table = [(2, 0.7, 0.1), (2, 0.08, 0.2), (0.05, 0.01, 0.02), (0.07, 0.01, 0.02), (0.12, 0.01, 0.02)]
# Of a side of 40 pixels instead of 224; 244 stands for 224 in the published table.
elastic_of = lambda s: elastic(  # noqa: E731
    np.float32(square) / 255, [share * 40 * 244 / 224 for share in elastic_table[s - 1]]
)

draws = 60
np.random.seed(0)
random = {
    "gaussian noise": lambda s: official.gaussian_noise(image, s),
    "shot noise": lambda s: official.shot_noise(image, s),
    "impulse noise": lambda s: official.impulse_noise(image, s),
    "glass blur": lambda s: official.glass_blur(image, s),
    "motion blur": lambda s: official.motion_blur(image, s),
    "snow": lambda s: official.snow(image, s),
    "fog": lambda s: official.fog(image, s),
    "elastic transform": lambda s: np.clip(elastic_of(s), 0, 1) * 255,
}
statistics = {}
for name, function in random.items():
    clean = square if name == "elastic transform" else x
    rows = []
    for severity in range(1, 6):
        made = [np.uint8(function(severity)).astype(float) for _ in range(draws)]
        distances = [np.mean((a - clean) ** 2) for a in made]
        levels = [a.mean() for a in made]
        rows.append(
            {
                "squared_distance": [np.mean(distances), np.std(distances)],
                "level": [np.mean(levels), np.std(levels)],
            }
        )
    statistics[name] = rows
versions = {"numpy": np.__version__, "scipy": scipy.__version__, "scikit-image": skimage.__version__, "opencv": cv2.__version__}
with open(f"{out}/distances.json", "w") as file:
    json.dump({"draws": draws, "statistics": statistics, "versions": {**versions, "imagecorruptions": "1.1.2"}}, file, indent=1)
