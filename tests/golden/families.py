"""Where each family keeps its parts in transformers' modules, and what its config says: a Spec and canonical weights."""

from dataclasses import dataclass, field

import torch

from reference_model import Reference, Spec
from rope import rope_of


@dataclass(frozen=True)
class Family:
    """Dotted module names: of the model's parts from the model, of a block's parts (canonical name → path) from the block."""

    embed: str
    blocks: str
    final: str
    attn: str
    parts: dict[str, str]
    pos: str | None = None
    mlp: str = "mlp"
    # How the rows of one projection make q, k and v: "thirds", a third each; "heads", each head's q, k, v; "runs", all heads' q,
    # then the key-value heads' k, then their v.
    fused: str | None = None
    # Parts whose weight is [in, out].
    conv: bool = False
    # Names of buffers that old files hold and nobody reads.
    ignored: tuple[str, ...] = ()
    # The file's names where they are not the module's.
    renamed: dict[str, str] = field(default_factory=dict)


ATTN = {"q": "self_attn.q_proj", "k": "self_attn.k_proj", "v": "self_attn.v_proj", "o": "self_attn.o_proj"}
NORMS = {"ln1": "input_layernorm", "ln2": "post_attention_layernorm"}
GATED = {"gate": "mlp.gate_proj", "up": "mlp.up_proj", "down": "mlp.down_proj"}
QK_NORMS = {"q_norm": "self_attn.q_norm", "k_norm": "self_attn.k_norm"}
SANDWICH = {
    "ln1": "input_layernorm",
    "post1": "post_attention_layernorm",
    "ln2": "pre_feedforward_layernorm",
    "post2": "post_feedforward_layernorm",
}
GPT2_MLP = {"ln1": "ln_1", "ln2": "ln_2", "up": "mlp.c_fc", "down": "mlp.c_proj"}
GPT2_NAMES = {
    "embed": "transformer.wte",
    "pos": "transformer.wpe",
    "blocks": "transformer.h",
    "final": "transformer.ln_f",
    "attn": "attn",
}
LLAMA_NAMES = {"embed": "model.embed_tokens", "blocks": "model.layers", "final": "model.norm", "attn": "self_attn"}

LLAMA = Family(**LLAMA_NAMES, parts=NORMS | ATTN | GATED)

FAMILIES = {
    "gpt2": Family(
        **GPT2_NAMES,
        parts=GPT2_MLP | {"qkv": "attn.c_attn", "o": "attn.c_proj"},
        fused="thirds",
        conv=True,
        ignored=("attn.bias",),
    ),
    "gpt_neo": Family(
        **GPT2_NAMES,
        parts=GPT2_MLP | {part: f"attn.attention.{'out' if part == 'o' else part}_proj" for part in "qkvo"},
        ignored=("attn.attention.bias", "attn.attention.masked_bias"),
    ),
    "gpt_neox": Family(
        embed="gpt_neox.embed_in",
        blocks="gpt_neox.layers",
        final="gpt_neox.final_layer_norm",
        attn="attention",
        parts=NORMS
        | {
            "qkv": "attention.query_key_value",
            "o": "attention.dense",
            "up": "mlp.dense_h_to_4h",
            "down": "mlp.dense_4h_to_h",
        },
        fused="heads",
        ignored=("attention.rotary_emb.inv_freq", "attention.bias", "attention.masked_bias"),
        renamed={"lm_head.weight": "embed_out.weight"},
    ),
    "llama": LLAMA,
    "mistral": LLAMA,
    "qwen2": LLAMA,
    "qwen3": Family(**LLAMA_NAMES, parts=NORMS | ATTN | QK_NORMS | GATED),
    "gemma2": Family(**LLAMA_NAMES, parts=SANDWICH | ATTN | GATED),
    "gemma3_text": Family(**LLAMA_NAMES, parts=SANDWICH | ATTN | QK_NORMS | GATED),
    "phi": Family(
        **LLAMA_NAMES | {"final": "model.final_layernorm"},
        # One norm feeds both branches; TransformerLens gives it two names.
        parts=ATTN | {"ln1": "input_layernorm", "ln2": "input_layernorm", "o": "self_attn.dense", "up": "mlp.fc1", "down": "mlp.fc2"},
    ),
    "phi3": Family(
        **LLAMA_NAMES,
        parts=NORMS
        | {"qkv": "self_attn.qkv_proj", "o": "self_attn.o_proj", "gate_up": "mlp.gate_up_proj", "down": "mlp.down_proj"},
        fused="runs",
    ),
    "starcoder2": Family(**LLAMA_NAMES, parts=NORMS | ATTN | {"up": "mlp.c_fc", "down": "mlp.c_proj"}),
}


def family_of(config) -> Family:
    return FAMILIES[config.model_type]


def head_dim_of(config) -> int:
    return getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads


def spec_of(config) -> Spec:
    def first(*names):
        found = next((name for name in names if hasattr(config, name)), None)
        assert found, f"{config.model_type} calls it none of {', '.join(names)}: say what in spec_of"
        return getattr(config, found)

    kind, layers, width = config.model_type, config.num_hidden_layers, head_dim_of(config)
    gemma = kind.startswith("gemma")
    # Layers by name: GPT-Neo says "local", the others "sliding_attention"; Mistral and Phi-3 slide everywhere or nowhere.
    types = getattr(config, "attention_layers", None) or getattr(config, "layer_types", None)
    window = getattr(config, "window_size", None) or getattr(config, "sliding_window", None)
    windows = [window if types is None or types[layer] in ("local", "sliding_attention") else None for layer in range(layers)]
    scale = {"gpt_neo": 1.0}.get(kind, (config.query_pre_attn_scalar if gemma else width) ** -0.5)
    divided = getattr(config, "scale_attn_by_inverse_layer_idx", False)
    rope = getattr(config, "rope_parameters", None)
    # Gemma 3 has one set of parameters for each type of layer.
    ropes = [rope and (rope[types[layer]] if types and types[layer] in rope else rope) for layer in range(layers)]
    return Spec(
        heads=config.num_attention_heads,
        kv_heads=getattr(config, "num_key_value_heads", config.num_attention_heads),
        norm="RMS" if hasattr(config, "rms_norm_eps") else "LN",
        eps=first("layer_norm_epsilon", "layer_norm_eps", "norm_epsilon", "rms_norm_eps"),
        activation=first("activation_function", "hidden_activation", "hidden_act"),
        scales=tuple(scale / (layer + 1 if divided else 1) for layer in range(layers)),
        windows=tuple(windows),
        ropes=tuple(rope and rope_of(rope, width, config.max_position_embeddings) for rope in ropes),
        gain=1 if gemma else 0,
        embed_scale=config.hidden_size**0.5 if gemma else 1,
        parallel=kind == "phi" or getattr(config, "use_parallel_residual", False),
        score_cap=getattr(config, "attn_logit_softcapping", None),
        logit_cap=getattr(config, "final_logit_softcapping", None),
    )


def split(rows: torch.Tensor, config) -> dict[str, torch.Tensor]:
    """The rows of a fused projection (its weight, its bias, its transposed output) as q's, k's and v's."""
    how, heads, width = family_of(config).fused, config.num_attention_heads, head_dim_of(config)
    if how == "heads":
        each = rows.reshape(heads, 3, width, -1)
        found = [each[:, part].reshape(heads * width, *rows.shape[1:]) for part in range(3)]
    else:
        kv_heads = heads if how == "thirds" else config.num_key_value_heads
        found = rows.split([heads * width, kv_heads * width, kv_heads * width])
    return dict(zip("qkv", found, strict=True))


def reference_of(model: torch.nn.Module) -> Reference:
    """The model's own weights, unfused, under the reference's names."""
    config, family = model.config, family_of(model.config)
    weights: dict[str, torch.Tensor] = {}

    def take(path: str, at: str, part: str) -> None:
        module = model.get_submodule(path)
        for name in ("weight", "bias"):
            value = getattr(module, name, None)
            if value is None:
                continue
            value = value.detach().T if family.conv and value.dim() == 2 and at else value.detach()
            pieces = {part: value}
            if part == "qkv":
                pieces = split(value, config)
            if part == "gate_up":
                pieces = dict(zip(("gate", "up"), value.chunk(2)))
            weights.update({f"{at}{piece}.{name}": rows for piece, rows in pieces.items()})

    for part, path in (("embed", family.embed), ("pos", family.pos), ("final", family.final), ("head", "lm_head")):
        if path:
            take(path, "", part)
    for layer in range(config.num_hidden_layers):
        for part, path in family.parts.items():
            take(f"{family.blocks}.{layer}.{path}", f"{layer}.", part)
    return Reference(spec_of(config), weights)


def place(model: torch.nn.Module, at: str) -> tuple[torch.nn.Module, str, int | None] | None:
    """(module, "in" or "out", width of a head where the module sees heads side by side) of a hook; None where no module has it."""
    family, width = family_of(model.config), head_dim_of(model.config)
    if at in ("hook_embed", "hook_pos_embed"):
        path = family.embed if at == "hook_embed" else family.pos
        return path and (model.get_submodule(path), "out", None)
    start, number, name = (*at.split(".", 2), "", "")[:3]
    if start != "blocks":
        return None
    parts = family.parts
    paths = {
        "hook_resid_pre": ("", "in", None),
        "hook_resid_post": ("", "out", None),
        "hook_attn_out": (parts.get("post1", family.attn), "out", None),
        "hook_mlp_out": (parts.get("post2", family.mlp), "out", None),
        "attn.hook_z": (parts["o"], "in", width),
        "mlp.hook_post": (parts["down"], "in", None),
        "mlp.hook_pre": (parts.get("gate", parts.get("up")), "out", None),
        "mlp.hook_pre_linear": ("gate" in parts and parts["up"], "out", None),
        "attn.hook_q": (parts.get("q"), "out", width),
        "attn.hook_k": (parts.get("k"), "out", width),
        "attn.hook_v": (parts.get("v"), "out", width),
    }
    path, side, head = paths.get(name, (None, "", None))
    if path is None or path is False:
        return None
    block = f"{family.blocks}.{number}"
    return model.get_submodule(f"{block}.{path}" if path else block), side, head
