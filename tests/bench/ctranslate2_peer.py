"""CTranslate2 with the weights of strata-bench-decoding, answering to the same lines."""
import sys
import tempfile
import time

import ctranslate2
import numpy as np
from ctranslate2.specs import TransformerSpec
from safetensors.numpy import load_file


def linear(spec, *parts):
    spec.weight = np.concatenate([weight for weight, _ in parts])
    if parts[0][1] is not None:
        spec.bias = np.concatenate([bias for _, bias in parts])


def fill_attention(spec, weights, prefix, norm, fused):
    q, k, v, out = ((weights[f"{prefix}.{n}.weight"], weights[f"{prefix}.{n}.bias"]) for n in ("q_proj", "k_proj", "v_proj", "out_proj"))
    for target, parts in zip(spec.linear, ([(q, k, v), (out,)] if fused else [(q,), (k, v), (out,)])):
        linear(target, *parts)
    fill_norm(spec.layer_norm, weights, norm)


def fill_norm(spec, weights, name):
    spec.gamma, spec.beta = weights[name + ".weight"], weights[name + ".bias"]


def fill_stack(spec, weights, stack, cross, positions):
    embedding = spec.embeddings[0] if isinstance(spec.embeddings, list) else spec.embeddings
    embedding.weight = weights["encoder.embed_tokens.weight"]
    spec.scale_embeddings = True
    spec.position_encodings.encodings = positions
    for index, layer in enumerate(spec.layer):
        prefix = f"{stack}.layers.{index}"
        fill_attention(layer.self_attention, weights, prefix + ".self_attn", prefix + ".self_attn_layer_norm", True)
        if cross:
            fill_attention(layer.attention, weights, prefix + ".encoder_attn", prefix + ".encoder_attn_layer_norm", False)
        linear(layer.ffn.linear_0, (weights[prefix + ".fc1.weight"], weights[prefix + ".fc1.bias"]))
        linear(layer.ffn.linear_1, (weights[prefix + ".fc2.weight"], weights[prefix + ".fc2.bias"]))
        fill_norm(layer.ffn.layer_norm, weights, prefix + ".final_layer_norm")


def sinusoids(rows, dim):
    """fairseq's: [sin | cos], denominator half - 1, the first token's position is 2."""
    half = dim // 2
    angles = np.arange(2, rows + 2)[:, None] * np.exp(-np.log(10000) / (half - 1) * np.arange(half))
    return np.concatenate([np.sin(angles), np.cos(angles)], 1).astype(np.float32)


class Decoding:
    def __init__(self, scheme, dim, ffn, heads, layers, vocabulary, sentences, length, file, precision="fp32"):
        assert scheme == "post_ln"
        weights = load_file(file)
        spec = TransformerSpec.from_config(int(layers), int(heads), pre_norm=False, activation=ctranslate2.specs.Activation.RELU)
        positions = sinusoids(512, int(dim))
        fill_stack(spec.encoder, weights, "encoder", False, positions)
        fill_stack(spec.decoder, weights, "decoder", True, positions)
        linear(spec.decoder.projection, (weights["encoder.embed_tokens.weight"], None))
        names = [f"w{i}" for i in range(int(vocabulary))]
        names[0], names[1], names[2], names[3] = "<s>", "<blank>", "</s>", "<unk>"
        spec.register_source_vocabulary(names)
        spec.register_target_vocabulary(names)
        spec.config.add_source_bos = spec.config.add_source_eos = False
        spec.config.decoder_start_token = "</s>"
        with tempfile.TemporaryDirectory() as folder:
            spec.validate()
            spec.save(folder)
            self.translator = ctranslate2.Translator(folder, device="cpu", compute_type={"fp32": "float32", "bf16": "bfloat16"}[precision], inter_threads=1, intra_threads=1)
        self.sources = [[names[i] for i in row] for row in weights["sources"]]
        self.ids = {name: i for i, name in enumerate(names)}
        self.length = int(length)
        self.parameters = sum(w.size for name, w in weights.items() if name != "sources")

    def decode(self):
        start = time.process_time()
        self.found = self.translator.translate_batch(
            self.sources,
            beam_size=4,
            length_penalty=1,
            min_decoding_length=self.length,
            max_decoding_length=self.length,
            max_batch_size=0,
        )
        return time.process_time() - start

    def outputs(self):
        return " ".join(str(self.ids[token]) for result in self.found for token in result.hypotheses[0])


def main():
    decoding = None
    for line in sys.stdin:
        command, *arguments = line.split()
        if command == "model" and arguments[-1] == "bf16" and "bfloat16" not in ctranslate2.get_supported_compute_types("cpu"):
            print("unsupported", flush=True)
        elif command == "model":
            decoding = Decoding(*arguments)
            print("ready", decoding.parameters, flush=True)
        elif command == "decode":
            print(decoding.decode(), flush=True)
        elif command == "outputs":
            print(decoding.outputs(), flush=True)


if __name__ == "__main__":
    main()
