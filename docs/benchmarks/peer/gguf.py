#!/usr/bin/env python3
"""Writes a GGUF of random weights in the shape of `k2 synth --shape bench-4b`, for llama.cpp (architecture deepseek2).

usage: gguf.py OUT.gguf [dense=bf16|q8_0] [layers=12] [hidden=2048] ...      (needs numpy)

Routed experts are Q4_0 (4.5 bits a weight, as K2's INT4 groups are), all else is BF16, or Q8_0 where asked for.
"""
import struct
import sys

import numpy as np

SHAPE = dict(vocab=32768, hidden=2048, layers=12, dense_layers=1, inter=6144, moe=768, experts=64, topk=8, shared=1, heads=16,
             q_rank=768, kv_rank=512, nope=128, rope=64, value=128, theta=50000.0, eps=1e-5, scale=2.5, context=32768, factor=8.0, original=4096)
TYPE_IDS = dict(f32=0, q4_0=2, q8_0=8, bf16=30)
BLOCK_BYTES = dict(f32=(1, 4), bf16=(1, 2), q4_0=(32, 18), q8_0=(32, 34))
ONES = None  # a norm: all its weights are 1


def tensors(s, dense):
    """(name, type, shape with the columns last, standard deviation) of each tensor."""
    hidden, width, experts = s["hidden"], s["moe"], s["experts"]
    head = s["nope"] + s["rope"]
    yield "token_embd.weight", dense, (s["vocab"], hidden), 1.0
    for layer in range(s["layers"]):
        def at(name, kind, *shape, std=0.0):
            return f"blk.{layer}.{name}.weight", kind, shape, std or shape[-1] ** -0.5
        for name, size in (("attn_norm", hidden), ("ffn_norm", hidden), ("attn_q_a_norm", s["q_rank"]), ("attn_kv_a_norm", s["kv_rank"])):
            yield f"blk.{layer}.{name}.weight", "f32", (size,), ONES
        yield at("attn_q_a", dense, s["q_rank"], hidden)
        yield at("attn_q_b", dense, s["heads"] * head, s["q_rank"])
        yield at("attn_kv_a_mqa", dense, s["kv_rank"] + s["rope"], hidden)
        yield at("attn_k_b", dense, s["heads"], s["kv_rank"], s["nope"], std=s["kv_rank"] ** -0.5)
        yield at("attn_v_b", dense, s["heads"], s["value"], s["kv_rank"])
        yield at("attn_output", dense, hidden, s["heads"] * s["value"])
        if layer < s["dense_layers"]:
            yield at("ffn_gate", dense, s["inter"], hidden)
            yield at("ffn_up", dense, s["inter"], hidden)
            yield at("ffn_down", dense, hidden, s["inter"])
            continue
        yield at("ffn_gate_inp", "f32", experts, hidden)
        yield f"blk.{layer}.exp_probs_b.bias", "f32", (experts,), 0.01
        yield at("ffn_gate_exps", "q4_0", experts, width, hidden)
        yield at("ffn_up_exps", "q4_0", experts, width, hidden)
        yield at("ffn_down_exps", "q4_0", experts, hidden, width)
        yield at("ffn_gate_shexp", dense, width * s["shared"], hidden)
        yield at("ffn_up_shexp", dense, width * s["shared"], hidden)
        yield at("ffn_down_shexp", dense, hidden, width * s["shared"])
    yield "output_norm.weight", "f32", (hidden,), ONES
    yield "output.weight", dense, (s["vocab"], hidden), hidden ** -0.5


def size_of(kind, shape):
    weights, size = BLOCK_BYTES[kind]
    return int(np.prod(shape)) // weights * size


def data(random, kind, shape, std):
    count = int(np.prod(shape))
    if std is ONES:
        return np.ones(count, np.float32).tobytes()
    if kind in ("q4_0", "q8_0"):  # an F16 scale, then the weights of the block; the divisor is their own deviation
        weights, size = BLOCK_BYTES[kind]
        blocks = np.empty((count // weights, size), np.uint8)
        blocks[:, :2] = np.frombuffer(np.float16(std / (4.6 if kind == "q4_0" else 74)).tobytes(), np.uint8)
        blocks[:, 2:] = np.frombuffer(random.bytes(count // weights * (size - 2)), np.uint8).reshape(-1, size - 2)
        return blocks.tobytes()
    values = random.standard_normal(count, dtype=np.float32) * np.float32(std)
    return values.tobytes() if kind == "f32" else (values.view(np.uint32) >> 16).astype(np.uint16).tobytes()


def text(value):
    encoded = value.encode()
    return struct.pack("<Q", len(encoded)) + encoded


def metadata(s):
    """The key-value pairs that llama.cpp asks of a deepseek2 model, encoded."""
    def pair(key, value):
        if isinstance(value, bool):
            return text(key) + struct.pack("<I?", 7, value)
        if isinstance(value, int):
            return text(key) + struct.pack("<II", 4, value)
        if isinstance(value, float):
            return text(key) + struct.pack("<If", 6, value)
        if isinstance(value, str):
            return text(key) + struct.pack("<I", 8) + text(value)
        if isinstance(value[0], str):
            return text(key) + struct.pack("<IIQ", 9, 8, len(value)) + b"".join(map(text, value))
        return text(key) + struct.pack(f"<IIQ{len(value)}i", 9, 5, len(value), *value)

    model = {
        "block_count": s["layers"], "context_length": s["context"], "embedding_length": s["hidden"], "feed_forward_length": s["inter"],
        "vocab_size": s["vocab"], "leading_dense_block_count": s["dense_layers"], "expert_used_count": s["topk"], "expert_count": s["experts"],
        "expert_shared_count": s["shared"], "expert_feed_forward_length": s["moe"], "expert_gating_func": 2, "expert_weights_scale": s["scale"],
        "expert_weights_norm": True, "attention.head_count": s["heads"], "attention.head_count_kv": 1, "attention.q_lora_rank": s["q_rank"],
        "attention.kv_lora_rank": s["kv_rank"], "attention.key_length": s["kv_rank"] + s["rope"], "attention.value_length": s["kv_rank"],
        "attention.key_length_mla": s["nope"] + s["rope"], "attention.value_length_mla": s["value"], "attention.layer_norm_rms_epsilon": s["eps"],
        "rope.dimension_count": s["rope"], "rope.freq_base": s["theta"], "rope.scaling.type": "yarn", "rope.scaling.factor": s["factor"],
        "rope.scaling.original_context_length": s["original"], "rope.scaling.yarn_log_multiplier": 0.1,
    }
    # A vocabulary of bytes and made-up words: the bench feeds ids.
    printable = [byte for byte in range(256) if 33 <= byte <= 126 or 161 <= byte <= 172 or byte >= 174]
    others = [byte for byte in range(256) if byte not in printable]
    tokens = [chr(byte) if byte in printable else chr(256 + others.index(byte)) for byte in range(256)] + [f"t{i}" for i in range(256, s["vocab"])]
    pairs = [pair("general.architecture", "deepseek2"), pair("general.name", "k2-bench")]
    pairs += [pair(f"deepseek2.{key}", value) for key, value in model.items()]
    pairs += [pair("tokenizer.ggml.model", "gpt2"), pair("tokenizer.ggml.pre", "gpt-2"), pair("tokenizer.ggml.tokens", tokens),
              pair("tokenizer.ggml.token_type", [1] * s["vocab"]), pair("tokenizer.ggml.merges", ["a b"]),
              pair("tokenizer.ggml.bos_token_id", 0), pair("tokenizer.ggml.eos_token_id", 1)]
    return pairs


def main(path, arguments):
    shape, dense = dict(SHAPE), "bf16"
    for argument in arguments:
        key, _, value = argument.partition("=")
        if key == "dense" and value in ("bf16", "q8_0"):
            dense = value
        elif key in shape:
            shape[key] = type(shape[key])(value)
        else:
            sys.exit(f"{argument}: known are dense=bf16|q8_0 and {', '.join(shape)}")
    random, all_tensors, pairs, offset = np.random.default_rng(1), list(tensors(shape, dense)), metadata(shape), 0
    with open(path, "wb") as file:
        file.write(b"GGUF" + struct.pack("<IQQ", 3, len(all_tensors), len(pairs)) + b"".join(pairs))
        for name, kind, dimensions, _ in all_tensors:
            file.write(text(name) + struct.pack(f"<I{len(dimensions)}QIQ", len(dimensions), *reversed(dimensions), TYPE_IDS[kind], offset))
            offset += -(-size_of(kind, dimensions) // 32) * 32
        file.write(b"\0" * (-file.tell() % 32))
        for _, kind, dimensions, std in all_tensors:
            file.write(data(random, kind, dimensions, std))
            file.write(b"\0" * (-file.tell() % 32))
    print(f"{path}: {len(all_tensors)} tensors, {offset:,} bytes of weights")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
