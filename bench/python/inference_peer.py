"""Python's sides of bench/inference.ts: inference_peer.py JOB pytorch|onnxruntime|onnxruntime-int8. Speaks bench/protocol.ts."""

import json
import platform
import sys
import time

import numpy as np

MEAN = np.array([0.48145466, 0.4578275, 0.40821073], np.float32).reshape(1, 3, 1, 1)
DEVIATION = np.array([0.26862954, 0.26130258, 0.27577711], np.float32).reshape(1, 3, 1, 1)


class Inputs:
    def __init__(self, job):
        size, count = job["config"]["imageSize"], job["pictures"]
        pixels = np.fromfile(job["pixels"], np.uint8).reshape(count, size, size, 3)
        self.images = ((pixels.transpose(0, 3, 1, 2).astype(np.float32) / 255 - MEAN) / DEVIATION).astype(np.float32)
        self.captions = job["captions"]
        self.files = job["files"]


class PyTorch:
    """open_clip, whose names the weights have; the end-to-end mode is its transform in a data loader."""

    def __init__(self, job):
        import open_clip
        import torch
        from safetensors.torch import load_file

        torch.set_num_threads(job["threads"])
        self.torch, self.open_clip = torch, open_clip
        self.model, _, self.transform = open_clip.create_model_and_transforms("ViT-B-32-quickgelu")
        self.model.load_state_dict(load_file(job["weights"]))
        self.model.eval()
        self.tokenizer = open_clip.get_tokenizer("ViT-B-32-quickgelu")
        self.versions = {"torch": torch.__version__, "open_clip": open_clip.__version__}

    def encode_images(self, images):
        with self.torch.inference_mode():
            return self.model.encode_image(self.torch.from_numpy(images)).numpy()

    def encode_texts(self, texts):
        with self.torch.inference_mode():
            return self.model.encode_text(self.tokenizer(texts)).numpy()

    def encode_files(self, files):
        loader = self.torch.utils.data.DataLoader(Pictures(files, self.transform), batch_size=16, num_workers=1)
        return np.concatenate([self.encode_images(batch.numpy()) for batch in loader])


class Pictures:
    def __init__(self, files, transform):
        self.files, self.transform = files, transform

    def __len__(self):
        return len(self.files)

    def __getitem__(self, i):
        from PIL import Image

        with Image.open(self.files[i]) as image:
            return self.transform(image)


class OnnxRuntime:
    """The model exported by torch.onnx."""

    def __init__(self, job, suffix):
        import onnxruntime

        self.options = onnxruntime.SessionOptions()
        self.options.intra_op_num_threads = job["threads"]
        self.session = lambda name: onnxruntime.InferenceSession(
            f"{job['exported']}/onnx/{name}{suffix}.onnx", self.options, ["CPUExecutionProvider"]
        )
        self.vision = self.session("vision_model")
        self.text = None
        self.context = job["config"]["text"]["contextLength"]
        self.versions = {"onnxruntime": onnxruntime.__version__}

    def encode_images(self, images):
        return self.vision.run(None, {"pixel_values": images})[0]

    def encode_texts(self, texts):
        if self.text is None:
            import open_clip

            self.text, self.tokenizer = self.session("text_model"), open_clip.SimpleTokenizer()
        return self.text.run(None, {"input_ids": self.tokenizer(texts).numpy()})[0]


def main():
    with open(sys.argv[1]) as file:
        job = json.load(file)
    kind = sys.argv[2]
    inputs = Inputs(job)
    begun = time.perf_counter()
    side = PyTorch(job) if kind == "pytorch" else OnnxRuntime(job, "_int8" if kind.endswith("int8") else "")
    position = 0

    def work(mode):
        nonlocal position
        what, count = mode.split(" ")
        count = int(count)
        if what == "files":
            return side.encode_files(inputs.files[:count])
        source = inputs.images if what == "images" else inputs.captions
        start = position % max(1, len(source) - count + 1)
        position += count
        part = source[start : start + count]
        return side.encode_images(part) if what == "images" else side.encode_texts(part)

    for line in sys.stdin:
        question = json.loads(line)
        if question["ask"] == "prepare":
            work("images 1")
            first = time.perf_counter() - begun
            position = 0
            versions = {"python": platform.python_version(), **side.versions}
            answer = {"versions": versions, "parameters": 0, "firstStep": first, "compiling": 0}
        elif question["ask"] == "features":
            rows = (side.encode_images(inputs.images[:4]), side.encode_texts(inputs.captions[:4]))
            answer = {"images": rows[0].tolist(), "texts": rows[1].tolist()}
        else:
            seconds = []
            for i in range(question["warmup"] + question["steps"]):
                before = time.perf_counter()
                work(question["mode"])
                if i >= question["warmup"]:
                    seconds.append(time.perf_counter() - before)
            answer = {"seconds": seconds, "loss": 0}
        print(json.dumps(answer), flush=True)


main()
