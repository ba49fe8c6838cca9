"""OpenAI's autoencoders of GPT-2 (openai/sparse_autoencoder), which no registry has: the checkpoint's layout and its forward pass, after Gao et al. 2024
and the repository's model.py at 764586a. The forward pass is written here in torch's own words and shares nothing with canonical.py.
"""

from collections import OrderedDict
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

from dictionaries.canonical import Contract, Spec, Tensors
from dictionaries.case import D_IN, K, LATENTS, Draw, Made, Run, case

ORACLE = "by hand, after openai/sparse_autoencoder 764586a"
ASSUMED = ("hookIn", "contract.residual", "contract.prependBos")


class Checkpoint(nn.Module):
    """The parameters and buffers of such a checkpoint, in its order; the decoder begins as the encoder's transpose, strides and all."""

    def __init__(self, w: Tensors):
        super().__init__()
        self.pre_bias = nn.Parameter(w["b_dec"].clone())
        self.latent_bias = nn.Parameter(w["b_enc"].clone())
        self.encoder = nn.Linear(D_IN, LATENTS, bias=False)
        self.encoder.weight = nn.Parameter(w["W_enc"].clone())
        self.decoder = nn.Linear(LATENTS, D_IN, bias=False)
        self.decoder.weight = nn.Parameter(w["W_dec"].T)
        self.register_buffer("stats_last_nonzero", torch.arange(LATENTS))
        self.register_buffer("latents_activation_frequency", torch.full((LATENTS,), 0.01))
        self.register_buffer("latents_mean_square", torch.full((LATENTS,), 0.5))


def runner(state: OrderedDict) -> Run:
    """The checkpoint alone says how: a TopK one normalises what it reads."""
    tensors = {name: value.double() for name, value in state.items() if isinstance(value, torch.Tensor)}
    k = state["activation_state_dict"].get("k")

    def run(x: torch.Tensor):
        deviation, mean = torch.std_mean(x, dim=-1, keepdim=True)
        inner = (x - mean) / (deviation + 1e-5) if k else x
        acts = F.linear(inner - tensors["pre_bias"], tensors["encoder.weight"], tensors["latent_bias"])
        if k:
            kept = acts.topk(k, dim=-1)
            acts = torch.zeros_like(acts).scatter(-1, kept.indices, kept.values)
        acts = acts.clamp(min=0)
        out = F.linear(acts, tensors["decoder.weight"], tensors["pre_bias"])
        return acts, out * deviation + mean if k else out

    return run


def save(w: Tensors, path: Path, activation: str, about: dict) -> OrderedDict:
    state = Checkpoint(w).state_dict()
    state["activation"] = activation
    state["activation_state_dict"] = OrderedDict(about)
    path.parent.mkdir(parents=True)
    torch.save(state, path)
    return torch.load(path, weights_only=True)


@case("openai-relu", format="openai", oracle=ORACLE, writer="by hand")
def relu(draw: Draw, folder: Path) -> Made:
    w = draw.weights("relu")
    state = save(w, folder / "resid_delta_mlp_v4" / "autoencoders" / "4.pt", "ReLU", {})
    return Made(Spec("relu", "blocks.4.hook_mlp_out"), w, runner(state), assumed=ASSUMED)


@case("openai-topk", format="openai", oracle=ORACLE, writer="by hand")
def topk(draw: Draw, folder: Path) -> Made:
    w = draw.weights("topk")
    about = {"k": K, "postact_fn": "ReLU"}
    state = save(w, folder / "resid_post_mlp_v5_32k" / "autoencoders" / "4.pt", "TopK", about)
    spec = Spec("topk", "blocks.4.hook_resid_post", k=K, contract=Contract(normalisation="layer_norm"))
    note = "Nothing in the file says LayerNorm: the TopK ones have it. The repository's README reads a model with center_writing_weights off."
    return Made(spec, w, runner(state), assumed=(*ASSUMED, "contract.normalisation"), note=note)
