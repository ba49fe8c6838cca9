"""Llama Scope (OpenMOSS): hyperparams.json and checkpoints/final.safetensors, and the later layout with log_jumprelu_threshold.

The library, lm-saes, installs in no version that read the first layout, so both are written by hand. What answers for the first is that
version's loading (Language-Model-SAEs, sae.py at the time of the release), done here step by step: first the parameters are brought to the
scale of raw activations, then decoder rows to norm 1, and only then is the threshold, one number, compared with. In the units of the file
that is θ·s_in/‖W_dec·s_in/s_out‖ for each latent. SAELens leaves the norm out; where `sparsity_include_decoder_norm` is true it must be there.
The later version multiplies by the norm when it compares (sparsity_scores), to the same end.
"""

import json
import math
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from dictionaries.canonical import Contract, Spec, Tensors
from dictionaries.case import D_IN, LATENTS, Draw, Made, Run, case

ORACLE = "by hand, after OpenMOSS/Language-Model-SAEs"
RESID = "blocks.4.hook_resid_post"
ASSUMED = ("contract.residual", "contract.prependBos")


def factors(norms: dict[str, float]) -> tuple[float, float]:
    """What brings an activation of the average norm to √d, on the way in and on the way out."""
    return math.sqrt(D_IN) / norms["in"], math.sqrt(D_IN) / norms["out"]


def lm_saes(folder: Path) -> Run:
    """Loading and running as the library of the release did, but activations are given in the file's units: what it has, times s_in/‖W_dec‖."""
    cfg = json.loads((folder / "hyperparams.json").read_text())
    state = {name: value.double() for name, value in load_file(folder / "checkpoints" / "final.safetensors").items()}
    scale_in, scale_out = factors(cfg["dataset_average_activation_norm"])
    encoder, decoder = state["encoder.weight"], state["decoder.weight"] * scale_in / scale_out
    encoder_bias, decoder_bias = state["encoder.bias"] / scale_in, state["decoder.bias"] / scale_out
    norms = decoder.norm(dim=0)
    encoder, encoder_bias, decoder = encoder * norms[:, None], encoder_bias * norms, decoder / norms

    def run(x: torch.Tensor):
        pre = x @ encoder.T + encoder_bias
        acts = pre.where(pre > cfg["jump_relu_threshold"], 0)
        return acts * scale_in / norms, acts @ decoder.T + decoder_bias

    return run


def write(w: Tensors, folder: Path, hook_in: str, hook_out: str, norms: dict[str, float], threshold: float) -> None:
    cfg = {
        "device": "cpu",
        "seed": 42,
        "dtype": "torch.bfloat16",
        "hook_point_in": hook_in,
        "hook_point_out": hook_out,
        "use_decoder_bias": True,
        "apply_decoder_bias_to_pre_encoder": False,
        "expansion_factor": LATENTS / D_IN,
        "d_model": D_IN,
        "d_sae": LATENTS,
        "act_fn": "jumprelu",
        "jump_relu_threshold": threshold,
        "norm_activation": "dataset-wise",
        "dataset_average_activation_norm": norms,
        "decoder_exactly_fixed_norm": False,
        "sparsity_include_decoder_norm": True,
        "use_glu_encoder": False,
        "top_k": 50,
    }
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "hyperparams.json").write_text(json.dumps(cfg, indent=4))
    tensors = {"encoder.weight": w["W_enc"], "encoder.bias": w["b_enc"], "decoder.weight": w["W_dec"].T, "decoder.bias": w["b_dec"]}
    save_file({name: value.contiguous() for name, value in tensors.items()}, folder / "checkpoints" / "final.safetensors")


def in_file_units(w: Tensors, norms: dict[str, float], threshold: float) -> Tensors:
    """Canonical tensors of a `scale` dictionary, whose one scale is s_in: what is written at s_out is brought to s_in here."""
    scale_in, scale_out = factors(norms)
    across = scale_in / scale_out
    exact = {name: value.double() for name, value in w.items()}
    decoder = exact["W_dec"] * across
    thresholds = threshold * scale_in / decoder.norm(dim=-1)
    return {"W_enc": exact["W_enc"], "b_enc": exact["b_enc"], "W_dec": decoder, "b_dec": exact["b_dec"] * across, "threshold": thresholds}


def built(draw: Draw, folder: Path, hook_in: str, hook_out: str, norms: dict[str, float], threshold: float, **more) -> Made:
    w = draw.weights("topk", dtype=torch.bfloat16)
    write(w, folder, hook_in, hook_out, norms, threshold)
    contract = Contract(normalisation="scale", scale=factors(norms)[0], subtract_b_dec=False)
    spec = Spec("jumprelu", hook_in, hook_out, contract=contract)
    exact = in_file_units(w, norms, threshold)
    flat = torch.full((LATENTS,), threshold).double()
    wrong = {"a threshold as it stands": {"threshold": flat}, "SAELens's threshold": {"threshold": flat * spec.contract.scale}}
    return Made(spec, exact, lm_saes(folder), wrong=wrong, **more)


@case("llama-scope", format="llama_scope", oracle=ORACLE, writer="by hand")
def residual(draw: Draw, folder: Path) -> Made:
    note = "Thresholds are per latent once ‖W_dec‖ is counted in (sparsity_include_decoder_norm); SAELens does not count it in."
    norms = {"in": 6.3125, "out": 6.3125}
    return built(draw, folder / "Llama3_1-8B-Base-L4R-8x", RESID, RESID, norms, 0.75390625, assumed=ASSUMED, note=note)


@case("llama-scope-transcoder", format="llama_scope", oracle=ORACLE, writer="by hand")
def transcoder(draw: Draw, folder: Path) -> Made:
    hooks = ("blocks.4.ln2.hook_normalized", "blocks.4.hook_mlp_out")
    norms = {"in": 4.5, "out": 3.390625}
    note = "Two scales, one in and one out: W_dec and b_dec are brought from the second to the first."
    return built(draw, folder / "Llama3_1-8B-Base-L4TC-8x", *hooks, norms, 0.50390625, assumed=ASSUMED, note=note)


@case("llama-scope-r1", format="llama_scope", oracle=ORACLE, writer="by hand")
def r1(draw: Draw, folder: Path) -> Made:
    """The later layout: config.json, sae_weights.safetensors, a threshold for each latent as its logarithm, in units of pre·‖W_dec‖."""
    path = folder / "800M-Slimpajama-0-OpenR1-Math-220k" / "L4R"
    path.mkdir(parents=True)
    w = draw.weights("jumprelu")
    cfg = {
        "sae_type": "sae",
        "hook_point_in": RESID,
        "hook_point_out": RESID,
        "d_model": D_IN,
        "expansion_factor": LATENTS / D_IN,
        "use_decoder_bias": True,
        "act_fn": "jumprelu",
        "norm_activation": "dataset-wise",
        "sparsity_include_decoder_norm": True,
        "use_glu_encoder": False,
        "top_k": 50,
        "dtype": "torch.float32",
    }
    (path / "config.json").write_text(json.dumps(cfg, indent=4))
    log = w.pop("threshold").log()
    tensors = {"encoder.weight": w["W_enc"], "encoder.bias": w["b_enc"], "decoder.weight": w["W_dec"].T, "decoder.bias": w["b_dec"]}
    tensors |= {"log_jumprelu_threshold": log}
    save_file({name: value.contiguous() for name, value in tensors.items()}, path / "sae_weights.safetensors")
    exact = {name: value.double() for name, value in load_file(path / "sae_weights.safetensors").items()}

    def at_scale(scale: float) -> Run:
        def run(x: torch.Tensor):
            pre = (x * scale) @ exact["encoder.weight"].T + exact["encoder.bias"]
            active = pre * exact["decoder.weight"].norm(dim=0) > exact["log_jumprelu_threshold"].exp()
            acts = torch.where(active, pre, torch.zeros(()).double())
            return acts, (acts @ exact["decoder.weight"].T + exact["decoder.bias"]) / scale

        return run

    thresholds = log.double().exp() / w["W_dec"].double().norm(dim=-1)
    spec = Spec("jumprelu", RESID, contract=Contract(subtract_b_dec=False))
    note = "The scale of the dataset is not in these files: `scaled_…` is with `scaledBy`, in the units of the scaled activations."
    wrong = {"SAELens's threshold": {"threshold": log.double().exp()}}
    return Made(spec, w | {"threshold": thresholds}, at_scale(1.0), wrong=wrong, scaled=(0.37, at_scale(0.37)), assumed=ASSUMED, note=note)
