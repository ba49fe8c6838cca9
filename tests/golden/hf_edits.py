"""Edits made inside transformers' own modules, for the hooks that a module's input or output is: the check on
reference_model.py that it is edited where it should be, and not only right when left alone."""

import re

import torch

from capture import float64_llama


def place(model: torch.nn.Module, at: str) -> tuple[torch.nn.Module, str, int | None] | None:
    """(module, "in" or "out", width of a head where the module sees heads side by side) of a hook; None where no module has it."""
    gpt2 = model.config.model_type == "gpt2"
    base = model.transformer if gpt2 else model.model
    if at == "hook_embed":
        return (base.wte if gpt2 else base.embed_tokens), "out", None
    found = re.fullmatch(r"blocks\.(\d+)\.(.+)", at)
    if not found:
        return None
    block = (base.h if gpt2 else base.layers)[int(found[1])]
    attn = block.attn if gpt2 else block.self_attn
    plain = {
        "hook_resid_pre": (block, "in", None),
        "hook_resid_post": (block, "out", None),
        "hook_attn_out": (attn, "out", None),
        "hook_mlp_out": (block.mlp, "out", None),
        "mlp.hook_post": (block.mlp.c_proj if gpt2 else block.mlp.down_proj, "in", None),
        "mlp.hook_pre": (block.mlp.c_fc if gpt2 else block.mlp.gate_proj, "out", None),
        "attn.hook_z": (attn.c_proj if gpt2 else attn.o_proj, "in", attn.head_dim),
    }
    if not gpt2:
        plain |= {
            "attn.hook_q": (attn.q_proj, "out", attn.head_dim),
            "attn.hook_k": (attn.k_proj, "out", attn.head_dim),
            "attn.hook_v": (attn.v_proj, "out", attn.head_dim),
            "mlp.hook_pre_linear": (block.mlp.up_proj, "out", None),
        }
    return plain.get(found[2])


def forward(model: torch.nn.Module, ids: list[int], hook, names: list[str]) -> torch.Tensor:
    """Logits with `hook` applied at `names` alone."""
    handles = []

    def apply(name, value, head):
        x = value[0] if isinstance(value, tuple) else value
        shaped = x[0].reshape(len(ids), -1, head) if head else x[0]
        out = hook(name, shaped).reshape(x.shape)
        return (out, *value[1:]) if isinstance(value, tuple) else out

    for name in names:
        found = place(model, name)
        assert found
        module, side, head = found
        if side == "in":
            handles.append(module.register_forward_pre_hook(lambda _m, args, n=name, h=head: apply(n, args, h)))
        else:
            handles.append(module.register_forward_hook(lambda _m, _args, out, n=name, h=head: apply(n, out, h)))
    try:
        with torch.no_grad(), float64_llama():
            return model(torch.tensor([ids])).logits[0]
    finally:
        for handle in handles:
            handle.remove()
