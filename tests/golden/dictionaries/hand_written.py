"""Formats that have files and no library of their own: Gemma Scope 1 and 2, Goodfire's, circuit-tracer's transcoders (mwhanna, mntss).

The files are written by hand, after the loaders that read them (sae_lens/loading/pretrained_sae_loaders.py of SAELens 6.54;
circuit_tracer/transcoder/single_layer_transcoder.py), and SAELens's classes in float64 answer for them: the tensors are given to those as its loader
gives them, so that only fetching from the Hub is left out.
"""

import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from sae_lens.registry import get_sae_class

from dictionaries.canonical import Contract, Spec, Tensors
from dictionaries.case import D_IN, D_OUT, LATENTS, Draw, Made, Run, case
from dictionaries.saelens import LIBRARY, MLP_IN, MLP_OUT, TRANSPOSED, metadata, runner

GEMMA = Contract(subtract_b_dec=False)
RESID = "blocks.4.hook_resid_post"
WRITER = "by hand"
ASSUMED = ("hookIn", "contract.residual", "contract.prependBos")
# What goes into an MLP, after the norm's gain, has no TransformerLens name: hook_normalized is before the gain, hook_mlp_in before the norm.
AFTER_GAIN = "Reads the norm's output after its gain; hook_normalized is before it."


def saelens(architecture: str, spec: Spec, w: Tensors, fold: bool = False) -> Run:
    sae_class, config_class = get_sae_class(architecture)
    wide = {"d_out": w["b_dec"].shape[0]} if "transcoder" in architecture else {}
    config = config_class(
        d_in=D_IN,
        d_sae=LATENTS,
        dtype="float64",
        apply_b_dec_to_input=spec.contract.subtract_b_dec,
        reshape_activations=spec.contract.reshape,
        metadata=metadata(spec.hook_in, spec.hook_out),
        **wide,
    )
    sae = sae_class(config)
    state = {name: (value.T if name in TRANSPOSED else value).double().contiguous() for name, value in w.items()}
    sae.load_state_dict(state)
    if fold:
        sae.fold_W_dec_norm()
    return runner(sae)


def answered(architecture: str, spec: Spec, w: Tensors, **more) -> Made:
    return Made(spec, w, saelens(architecture, spec, w), saelens(architecture, spec, w, fold=True), **more)


def npz(path: Path, w: Tensors, save=np.savez) -> None:
    path.mkdir(parents=True)
    save(path / "params.npz", **{name: (value.T if name in TRANSPOSED else value).contiguous().numpy() for name, value in w.items()})


@case("gemma-scope-res", format="gemma_scope", oracle=LIBRARY, writer=WRITER)
def gemma_residual(draw: Draw, folder: Path) -> Made:
    w = draw.weights("jumprelu")
    npz(folder / "gemma-scope-2b-pt-res" / "layer_4" / "width_1k" / "average_l0_17", w)
    return answered("jumprelu", Spec("jumprelu", RESID, contract=GEMMA), w, assumed=ASSUMED)


@case("gemma-scope-mlp", format="gemma_scope", oracle=LIBRARY, writer=WRITER)
def gemma_mlp(draw: Draw, folder: Path) -> Made:
    w = draw.weights("jumprelu")
    # The archive deflated, as NumPy may leave it.
    npz(folder / "gemma-scope-2b-pt-mlp" / "layer_4" / "width_1k" / "average_l0_17", w, np.savez_compressed)
    return answered("jumprelu", Spec("jumprelu", MLP_OUT, contract=GEMMA), w, assumed=ASSUMED)


@case("gemma-scope-att", format="gemma_scope", oracle=LIBRARY, writer=WRITER)
def gemma_attention(draw: Draw, folder: Path) -> Made:
    w = draw.weights("jumprelu")
    npz(folder / "gemma-scope-2b-pt-att" / "layer_4" / "width_1k" / "average_l0_17", w)
    contract = Contract(subtract_b_dec=False, reshape="hook_z")
    return answered("jumprelu", Spec("jumprelu", "blocks.4.attn.hook_z", contract=contract), w, assumed=ASSUMED)


@case("gemma-scope-transcoder", format="gemma_scope", oracle=LIBRARY, writer=WRITER)
def gemma_transcoder(draw: Draw, folder: Path) -> Made:
    w = draw.weights("jumprelu", d_out=D_OUT)
    npz(folder / "gemma-scope-2b-pt-transcoders" / "layer_4" / "width_1k" / "average_l0_17", w)
    spec = Spec("jumprelu", MLP_IN, MLP_OUT, contract=GEMMA)
    return answered("jumprelu_transcoder", spec, w, assumed=ASSUMED, note=AFTER_GAIN)


@case("gemma-scope-embedding", format="gemma_scope", oracle=LIBRARY, writer=WRITER)
def gemma_embedding(draw: Draw, folder: Path) -> Made:
    w = draw.weights("jumprelu")
    npz(folder / "gemma-scope-2b-pt-res" / "embedding" / "width_1k" / "average_l0_17", w)
    exact = w | {"W_enc": w["W_enc"].double() / D_IN**0.5, "W_dec": w["W_dec"].double() * D_IN**0.5}
    note = "Trained on embeddings before Gemma's scale √d: the loader divides W_enc by it and multiplies W_dec, and leaves b_dec."
    return answered("jumprelu", Spec("jumprelu", "hook_embed", contract=GEMMA), exact, assumed=ASSUMED, note=note, wrong={"no √d": w})


def gemma_2(path: Path, w: Tensors, cfg: dict) -> None:
    path.mkdir(parents=True)
    own = {"architecture": "jump_relu", "model_name": "gemma-v3-1b-pt", "width": LATENTS, "l0": 17, "type": "sae"}
    (path / "config.json").write_text(json.dumps(own | cfg, indent=2))
    names = {"W_enc": "w_enc", "W_dec": "w_dec", "W_skip": "affine_skip_connection"}
    # The skip is stored [d_in, d_out], the other way round from every other format.
    laid = {names.get(name, name): value.T if name in ("W_enc", "W_skip") else value for name, value in w.items()}
    save_file({name: value.contiguous() for name, value in laid.items()}, path / "params.safetensors")


@case("gemma-scope-2-res", format="gemma_scope_2", oracle=LIBRARY, writer=WRITER)
def gemma_2_residual(draw: Draw, folder: Path) -> Made:
    w = draw.weights("jumprelu")
    path = folder / "gemma-scope-2-1b-pt" / "resid_post" / "layer_4_width_16k_l0_medium"
    gemma_2(path, w, {"hf_hook_point_in": "model.layers.4.output", "hf_hook_point_out": "model.layers.4.output"})
    return answered("jumprelu", Spec("jumprelu", RESID, contract=GEMMA), w, assumed=ASSUMED[1:])


@case("gemma-scope-2-transcoder-affine", format="gemma_scope_2", oracle=LIBRARY, writer=WRITER)
def gemma_2_affine(draw: Draw, folder: Path) -> Made:
    # As wide out as in, as they are: no shape tells which way round the skip is.
    w = draw.weights("jumprelu", skip=True)
    path = folder / "gemma-scope-2-1b-pt" / "transcoder" / "layer_4_width_16k_l0_medium_affine"
    cfg = {
        "type": "transcoder",
        "hf_hook_point_in": "model.layers.4.pre_feedforward_layernorm.output",
        "hf_hook_point_out": "model.layers.4.post_feedforward_layernorm.output",
        "affine_connection": True,
    }
    gemma_2(path, w, cfg)
    spec = Spec("jumprelu", MLP_IN, MLP_OUT, contract=GEMMA)
    note = f"{AFTER_GAIN} SAELens calls the place hook_mlp_in, which in TransformerLens is before the norm."
    return answered("jumprelu_skip_transcoder", spec, w, assumed=ASSUMED[1:], note=note)


@case("goodfire", format="goodfire", oracle=LIBRARY, writer=WRITER)
def goodfire(draw: Draw, folder: Path) -> Made:
    w = draw.weights("relu", dtype=torch.bfloat16)
    state = {
        "encoder_linear.weight": w["W_enc"],
        "encoder_linear.bias": w["b_enc"],
        "decoder_linear.weight": w["W_dec"].T.contiguous(),
        "decoder_linear.bias": w["b_dec"],
    }
    torch.save(state, folder / "Llama-3.1-8B-Instruct-SAE-l19.pth")
    spec = Spec("relu", "blocks.19.hook_resid_post", contract=GEMMA)
    return answered("standard", spec, w, assumed=ASSUMED)


def circuit_tracer(folder: Path, tensors: Tensors, model: str) -> None:
    """A set is a folder of layers and a config.yaml that names its hooks; one layer of it is here."""
    folder.mkdir(parents=True)
    lines = [f"model_name: {model}", "model_kind: transcoder_set", "feature_input_hook: mlp.hook_in", "feature_output_hook: hook_mlp_out"]
    (folder / "config.yaml").write_text("\n".join(lines) + "\n")
    save_file({name: value.contiguous() for name, value in tensors.items()}, folder / "layer_4.safetensors")


# The names of config.yaml, which are TransformerLens 3's for what goes into the MLP.
TRACED = ("blocks.4.mlp.hook_in", "blocks.4.hook_mlp_out")


@case("mwhanna-transcoder", format="circuit_tracer", oracle=LIBRARY, writer=WRITER)
def mwhanna(draw: Draw, folder: Path) -> Made:
    w = draw.weights("relu")
    # W_enc and W_dec both with latents for rows: canonical as they are.
    circuit_tracer(folder / "qwen3-0.6b-transcoders", w, "Qwen/Qwen3-0.6B")
    return answered("transcoder", Spec("relu", *TRACED, contract=GEMMA), w, assumed=ASSUMED[1:])


@case("mntss-skip-transcoder", format="circuit_tracer", oracle=LIBRARY, writer=WRITER)
def mntss(draw: Draw, folder: Path) -> Made:
    w = draw.weights("relu", skip=True)
    # The older sets: W_dec as a linear layer's weight, [d_out, latents].
    circuit_tracer(folder / "skip-transcoder-Llama-3.2-1B", w | {"W_dec": w["W_dec"].T}, "meta-llama/Llama-3.2-1B")
    return answered("skip_transcoder", Spec("relu", *TRACED, contract=GEMMA), w, assumed=ASSUMED[1:])


@case("circuit-tracer-jumprelu", format="circuit_tracer", oracle=LIBRARY, writer=WRITER)
def traced_jumprelu(draw: Draw, folder: Path) -> Made:
    w = draw.weights("jumprelu")
    named = {("activation_function.threshold" if name == "threshold" else name): value for name, value in w.items()}
    circuit_tracer(folder / "gemma-transcoders", named, "google/gemma-2-2b")
    return answered("jumprelu_transcoder", Spec("jumprelu", *TRACED, contract=GEMMA), w, assumed=ASSUMED[1:])
