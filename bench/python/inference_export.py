"""The model of bench/inference.ts as others have it: inference_export.py WEIGHTS CONFIG FOLDER writes a folder of transformers with its towers as ONNX."""

import json
import os
import sys

import open_clip
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from safetensors.torch import load_file
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer


def renamed(weights, prefix, layers, to):
    """A transformer's tensors by transformers' names: the projections of queries, keys and values apart."""
    out = {}
    for layer in range(layers):
        here, there = f"{prefix}resblocks.{layer}.", f"{to}.encoder.layers.{layer}."
        for kind in ("weight", "bias"):
            parts = weights[f"{here}attn.in_proj_{kind}"].chunk(3)
            for name, part in zip(("q_proj", "k_proj", "v_proj"), parts, strict=True):
                out[f"{there}self_attn.{name}.{kind}"] = part.contiguous()
            for name, theirs in (
                ("attn.out_proj", "self_attn.out_proj"),
                ("ln_1", "layer_norm1"),
                ("ln_2", "layer_norm2"),
                ("mlp.c_fc", "mlp.fc1"),
                ("mlp.c_proj", "mlp.fc2"),
            ):
                out[f"{there}{theirs}.{kind}"] = weights[f"{here}{name}.{kind}"]
    return out


def transformers_model(weights, config):
    vision, text = config["vision"], config["text"]
    shared = {"hidden_act": "quick_gelu" if config["activation"] == "quickGelu" else "gelu"}
    sizes = lambda part: {  # noqa: E731
        "hidden_size": part["width"],
        "intermediate_size": 4 * part["width"],
        "num_hidden_layers": part["layers"],
        "num_attention_heads": part["heads"],
    }
    model = CLIPModel(
        CLIPConfig(
            projection_dim=config["embedDim"],
            text_config={
                **shared,
                **sizes(text),
                "vocab_size": text["vocabSize"],
                "max_position_embeddings": text["contextLength"],
                "eos_token_id": text["vocabSize"] - 1,
            },
            vision_config={**shared, **sizes(vision), "image_size": config["imageSize"], "patch_size": vision["patchSize"]},
        )
    ).eval()
    state = {
        "logit_scale": weights["logit_scale"],
        "visual_projection.weight": weights["visual.proj"].T.contiguous(),
        "text_projection.weight": weights["text_projection"].T.contiguous(),
        "vision_model.embeddings.class_embedding": weights["visual.class_embedding"],
        "vision_model.embeddings.patch_embedding.weight": weights["visual.conv1.weight"],
        "vision_model.embeddings.position_embedding.weight": weights["visual.positional_embedding"],
        "text_model.embeddings.token_embedding.weight": weights["token_embedding.weight"],
        "text_model.embeddings.position_embedding.weight": weights["positional_embedding"],
        **renamed(weights, "visual.transformer.", vision["layers"], "vision_model"),
        **renamed(weights, "transformer.", text["layers"], "text_model"),
    }
    for ours, theirs in (
        ("visual.ln_pre", "vision_model.pre_layrnorm"),
        ("visual.ln_post", "vision_model.post_layernorm"),
        ("ln_final", "text_model.final_layer_norm"),
    ):
        for kind in ("weight", "bias"):
            state[f"{theirs}.{kind}"] = weights[f"{ours}.{kind}"]
    missing, unexpected = model.load_state_dict(state, strict=False)
    if unexpected or any("position_ids" not in name for name in missing):
        raise SystemExit(f"transformers' model does not fit: {missing} {unexpected}")
    return model


class Images(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, pixel_values):
        return self.model.visual_projection(self.model.vision_model(pixel_values).pooler_output)


class Texts(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input_ids):
        return self.model.text_projection(self.model.text_model(input_ids).pooler_output)


def export(module, example, path, names, axes):
    torch.onnx.export(
        module,
        (example,),
        path,
        input_names=[names[0]],
        output_names=[names[1]],
        dynamic_axes={names[0]: axes, names[1]: {0: "batch"}},
        opset_version=18,
        dynamo=False,
    )


def save_tokenizer(folder):
    official = open_clip.SimpleTokenizer()
    merges = [" ".join(pair) for pair in sorted(official.bpe_ranks, key=official.bpe_ranks.get)]
    special = {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}
    vocab = {special.get(token, token): index for token, index in official.encoder.items()}
    with open(f"{folder}/vocab.json", "w") as file:
        json.dump(vocab, file)
    with open(f"{folder}/merges.txt", "w") as file:
        file.write("#version: 0.2\n" + "\n".join(merges) + "\n")
    CLIPTokenizer.from_pretrained(folder).save_pretrained(folder)


def main():
    weights, config = load_file(sys.argv[1]), json.loads(sys.argv[2])
    folder = sys.argv[3]
    os.makedirs(f"{folder}/onnx", exist_ok=True)
    with torch.no_grad():
        model = transformers_model(weights, config)
        model.config.save_pretrained(folder)
        size = config["imageSize"]
        export(Images(model), torch.zeros(2, 3, size, size), f"{folder}/onnx/vision_model.onnx", ("pixel_values", "image_embeds"), {0: "batch"})
        ids = torch.full((2, 9), 320)
        ids[:, 0], ids[:, -1] = config["text"]["vocabSize"] - 2, config["text"]["vocabSize"] - 1
        export(Texts(model), ids, f"{folder}/onnx/text_model.onnx", ("input_ids", "text_embeds"), {0: "batch", 1: "length"})
    quantize_dynamic(
        f"{folder}/onnx/vision_model.onnx", f"{folder}/onnx/vision_model_int8.onnx", weight_type=QuantType.QInt8, per_channel=True
    )
    quantize_dynamic(
        f"{folder}/onnx/text_model.onnx", f"{folder}/onnx/text_model_int8.onnx", weight_type=QuantType.QInt8, per_channel=True
    )
    save_tokenizer(folder)
    with open(f"{folder}/preprocessor_config.json", "w") as file:
        json.dump(
            {
                "image_processor_type": "CLIPImageProcessor",
                "do_resize": True,
                "size": {"shortest_edge": size},
                "resample": 3,
                "do_center_crop": True,
                "crop_size": {"height": size, "width": size},
                "do_rescale": True,
                "rescale_factor": 1 / 255,
                "do_normalize": True,
                "image_mean": [0.48145466, 0.4578275, 0.40821073],
                "image_std": [0.26862954, 0.26130258, 0.27577711],
                "do_convert_rgb": True,
            },
            file,
        )


main()
