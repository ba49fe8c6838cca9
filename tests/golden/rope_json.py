"""fixtures/rope.json: rotary frequencies as transformers computes them, for configs as checkpoints write them.

Each entry has a config in the spelling of transformers 5 (`new`) and, where there was one, in the spelling before it
(`old`): both give the same numbers, which is asserted. The code is transformers' own, with float32 meaning float64, as in
capture.py; rope.py, our own reading of the formulas, must agree.
"""

import importlib
import json
from pathlib import Path

import torch
from transformers import CONFIG_MAPPING, modeling_rope_utils

from capture import _Float64Torch
from families import head_dim_of
from rope import rope_of

HEADS = {"hidden_size": 2048, "num_attention_heads": 32}
WIDE = {"hidden_size": 4096, "num_attention_heads": 32}
LLAMA_3_1 = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}
LLAMA_3_2 = LLAMA_3_1 | {"factor": 32.0}
# Not Phi-3's numbers, but as many and as uneven: 48 pairs of a head of 96.
FACTORS = {
    "short_factor": [round(1 + 0.03125 * (pair % 7), 5) for pair in range(48)],
    "long_factor": [round(1 + 0.625 * pair, 3) for pair in range(48)],
}
PHI3 = {"hidden_size": 3072, "num_attention_heads": 32, "max_position_embeddings": 131072, "original_max_position_embeddings": 4096}
PHI4 = PHI3 | {"num_attention_heads": 24}
GEMMA2 = {"hidden_size": 2304, "num_attention_heads": 8, "head_dim": 256}
GEMMA3 = {"hidden_size": 640, "num_attention_heads": 4, "head_dim": 256, "num_hidden_layers": 6, "layer_types": None}
GEMMA3_OLD = {"sliding_window_pattern": 6, "rope_theta": 1000000.0, "rope_local_base_freq": 10000.0}


def flat(**rope) -> dict:
    return {"rope_parameters": rope}


def nested(full: dict) -> dict:
    local = {"rope_type": "default", "rope_theta": 10000.0}
    return {"rope_parameters": {"full_attention": {"rope_theta": 1000000.0} | full, "sliding_attention": local}}


# name, model_type, what both spellings share, the old spelling (None: there is none), the new one.
CONFIGS = (
    ("default-64", "llama", HEADS, {"rope_theta": 10000.0}, flat(rope_type="default", rope_theta=10000.0)),
    ("default-head-dim", "qwen3", HEADS | {"head_dim": 128}, {"rope_theta": 1e6}, flat(rope_type="default", rope_theta=1e6)),
    (
        "linear",
        "llama",
        WIDE,
        {"rope_theta": 10000.0, "rope_scaling": {"type": "linear", "factor": 4.0}},
        flat(rope_type="linear", rope_theta=10000.0, factor=4.0),
    ),
    *(
        (
            f"llama-{version}-{width['hidden_size'] // 32}",
            "llama",
            width | {"max_position_embeddings": 131072},
            {"rope_theta": 500000.0, "rope_scaling": {"rope_type": "llama3", **scaling}},
            flat(rope_type="llama3", rope_theta=500000.0, **scaling),
        )
        for version, scaling in (("3.1", LLAMA_3_1), ("3.2", LLAMA_3_2))
        for width in (HEADS, WIDE)
    ),
    (
        "phi3-longrope-short",
        "phi3",
        PHI3,
        {"rope_theta": 10000.0, "rope_scaling": {"type": "longrope", **FACTORS}},
        flat(rope_type="longrope", rope_theta=10000.0, partial_rotary_factor=1.0, **FACTORS),
    ),
    (
        "phi4-longrope-partial",
        "phi3",
        PHI4,
        {"rope_theta": 10000.0, "partial_rotary_factor": 0.75, "rope_scaling": {"type": "longrope", **FACTORS}},
        flat(rope_type="longrope", rope_theta=10000.0, partial_rotary_factor=0.75, **FACTORS),
    ),
    (
        "neox-partial",
        "gpt_neox",
        {"hidden_size": 512, "num_attention_heads": 8},
        {"rotary_pct": 0.25, "rotary_emb_base": 10000},
        flat(rope_type="default", rope_theta=10000, partial_rotary_factor=0.25),
    ),
    (
        "phi2-partial",
        "phi",
        {"hidden_size": 2560, "num_attention_heads": 32},
        {"rope_theta": 10000.0, "partial_rotary_factor": 0.4},
        flat(rope_type="default", rope_theta=10000.0, partial_rotary_factor=0.4),
    ),
    ("gemma2", "gemma2", GEMMA2, {"rope_theta": 10000.0}, flat(rope_type="default", rope_theta=10000.0)),
    ("gemma3", "gemma3_text", GEMMA3, GEMMA3_OLD, nested({"rope_type": "default"})),
    (
        "gemma3-linear",
        "gemma3_text",
        GEMMA3,
        GEMMA3_OLD | {"rope_scaling": {"rope_type": "linear", "factor": 8.0}},
        nested({"rope_type": "linear", "factor": 8.0}),
    ),
)


def computed(kind: str, keys: dict) -> dict[str | None, tuple[torch.Tensor, float]]:
    """Frequencies and attention factor by transformers, for each type of layer (None where all are alike)."""
    config = CONFIG_MAPPING[kind](**json.loads(json.dumps(keys)))
    folder = kind.removesuffix("_text")
    code = importlib.import_module(f"transformers.models.{folder}.modeling_{folder}")
    rotary = next(value for name, value in vars(code).items() if name.endswith("RotaryEmbedding"))
    layer_types = sorted(set(config.layer_types)) if "full_attention" in config.rope_parameters else [None]
    to_float, out = torch.Tensor.float, {}
    code.torch = modeling_rope_utils.torch = _Float64Torch()
    torch.Tensor.float = torch.Tensor.double
    try:
        module = rotary(config)
    finally:
        code.torch = modeling_rope_utils.torch = torch
        torch.Tensor.float = to_float
    for layer_type in layer_types:
        start = f"{layer_type}_" if layer_type else ""
        out[layer_type] = getattr(module, f"{start}inv_freq"), getattr(module, f"{start}attention_scaling")
        own = rope_of(
            config.rope_parameters[layer_type] if layer_type else config.rope_parameters,
            head_dim_of(config),
            config.max_position_embeddings,
        )
        assert out[layer_type][0].dtype == torch.float64
        assert torch.allclose(own.frequencies, out[layer_type][0], rtol=1e-12, atol=0), kind
        assert abs(own.factor - out[layer_type][1]) < 1e-12
    return out


def write(path: Path) -> None:
    entries = []
    for name, kind, shared, old, new in CONFIGS:
        shared = {key: value for key, value in shared.items() if value is not None}
        found = computed(kind, shared | new)
        for layer_type, (frequencies, factor) in computed(kind, shared | old).items():
            assert torch.equal(frequencies, found[layer_type][0]) and factor == found[layer_type][1], name
            layer = {"layer_type": layer_type} if layer_type else {}
            entries.append(
                {
                    "name": f"{name}-{layer_type.removesuffix('_attention')}" if layer_type else name,
                    "old": {"model_type": kind, **shared, **old},
                    "new": {"model_type": kind, **shared, **new},
                    **layer,
                    "inv_freq": frequencies.tolist(),
                    "attention_factor": factor,
                }
            )
    path.write_text(json.dumps(entries, indent=1) + "\n")
    print(f"{path.name}: {len(entries)} sets of frequencies, {path.stat().st_size / 1e3:.0f} kB")
