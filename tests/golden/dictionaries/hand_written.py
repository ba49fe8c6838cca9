"""Formats that have files and no library of their own: Gemma Scope 1 and 2, and Goodfire's.

The files are written by hand, after the loaders that read them (sae_lens/loading/pretrained_sae_loaders.py of SAELens 6.54), and those loaders
read them back.
"""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from circuit_tracer.transcoder.single_layer_transcoder import load_gemma_scope_2_transcoder
from safetensors.torch import save_file

from dictionaries import circuit_tracer_cases as circuit_tracer
from dictionaries.canonical import Contract, Spec, Tensors
from dictionaries.case import D_IN, D_OUT, LATENTS, Draw, Made, case
from dictionaries.saelens import LIBRARY, MLP_IN, MLP_OUT, TRANSPOSED, runner
from dictionaries.saelens_loaders import loaded

GEMMA = Contract(subtract_b_dec=False)
RESID = "blocks.4.hook_resid_post"
WRITER = "by hand"
ASSUMED = ("hookIn", "contract.residual", "contract.prependBos")
# What goes into an MLP, after the norm's gain, has no TransformerLens name: hook_normalized is before the gain, hook_mlp_in before the norm.
AFTER_GAIN = "Reads the norm's output after its gain; hook_normalized is before it."
# Lieberum et al. 2024, “Language model technical details”.
BEFORE_GAIN = "Reads the bare norm: the gain had been folded into the MLP before training."


def answered(loader: str, root: Path, repo: str, folder: str, spec: Spec, w: Tensors, **more) -> Made:
    """SAELens reads the very files; folded, once more."""
    read = loaded(loader, root, repo, folder)
    return Made(spec, w, runner(read), folded=runner(loaded(loader, root, repo, folder, fold=True)), **more)


def npz(path: Path, w: Tensors, save=np.savez) -> None:
    path.mkdir(parents=True)
    save(path / "params.npz", **{name: (value.T if name in TRANSPOSED else value).contiguous().numpy() for name, value in w.items()})


# 52 latents are 0k as 16384 are 16k.
SCOPE = "layer_4/width_0k/average_l0_17"


def gemma(draw: Draw, root: Path, kind: str, spec: Spec, folder: str = SCOPE, d_out: int = D_IN, save=np.savez, **more) -> Made:
    """`kind` is the end of the repository's name, by which alone SAELens and we know what was read."""
    w = draw.weights("jumprelu", d_out=d_out)
    repo = f"google/gemma-scope-2b-pt-{kind}"
    npz(root / repo.split("/")[-1] / folder, w, save)
    loader = "gemma_2_transcoder" if kind == "transcoders" else "gemma_2"
    if folder.startswith("embedding"):
        # SAELens divides and multiplies in float32.
        more |= {"wrong": {"no √d": w}, "tolerance": 2e-7}
        w = w | {"W_enc": w["W_enc"].double() / D_IN**0.5, "W_dec": w["W_dec"].double() * D_IN**0.5}
    return answered(loader, root, repo, folder, spec, w, assumed=ASSUMED, **more)


@case("gemma-scope-res", format="gemma_scope", oracle=LIBRARY, writer=WRITER)
def gemma_residual(draw: Draw, root: Path) -> Made:
    return gemma(draw, root, "res", Spec("jumprelu", RESID, contract=GEMMA))


@case("gemma-scope-mlp", format="gemma_scope", oracle=LIBRARY, writer=WRITER)
def gemma_mlp(draw: Draw, root: Path) -> Made:
    # The archive deflated, as NumPy may leave it.
    return gemma(draw, root, "mlp", Spec("jumprelu", MLP_OUT, contract=GEMMA), save=np.savez_compressed)


@case("gemma-scope-att", format="gemma_scope", oracle=LIBRARY, writer=WRITER)
def gemma_attention(draw: Draw, root: Path) -> Made:
    contract = Contract(subtract_b_dec=False, reshape="hook_z")
    return gemma(draw, root, "att", Spec("jumprelu", "blocks.4.attn.hook_z", contract=contract))


@case("gemma-scope-transcoder", format="gemma_scope", oracle=LIBRARY, writer=WRITER)
def gemma_transcoder(draw: Draw, root: Path) -> Made:
    return gemma(draw, root, "transcoders", Spec("jumprelu", MLP_IN, MLP_OUT, contract=GEMMA), d_out=D_OUT, note=BEFORE_GAIN)


@case("gemma-scope-embedding", format="gemma_scope", oracle=LIBRARY, writer=WRITER)
def gemma_embedding(draw: Draw, root: Path) -> Made:
    note = "Trained on embeddings before Gemma's scale √d: the loader divides W_enc by it and multiplies W_dec, and leaves b_dec."
    return gemma(draw, root, "res", Spec("jumprelu", "hook_embed", contract=GEMMA), "embedding/width_0k/average_l0_17", note=note)


GEMMA_2 = "google/gemma-scope-2-1b-pt"


def gemma_2(path: Path, w: Tensors, cfg: dict) -> None:
    path.mkdir(parents=True)
    own = {"architecture": "jump_relu", "model_name": "gemma-v3-1b-pt", "width": LATENTS, "l0": 17, "type": "sae"}
    (path / "config.json").write_text(json.dumps(own | cfg, indent=2))
    names = {"W_enc": "w_enc", "W_dec": "w_dec", "W_skip": "affine_skip_connection"}
    # The skip is stored [d_in, d_out], the other way round from every other format.
    laid = {names.get(name, name): value.T if name in ("W_enc", "W_skip") else value for name, value in w.items()}
    save_file({name: value.contiguous() for name, value in laid.items()}, path / "params.safetensors")


@case("gemma-scope-2-res", format="gemma_scope_2", oracle=LIBRARY, writer=WRITER)
def gemma_2_residual(draw: Draw, root: Path) -> Made:
    w = draw.weights("jumprelu")
    folder = "resid_post/layer_4_width_0k_l0_medium"
    gemma_2(root / "gemma-scope-2-1b-pt" / folder, w, {"hf_hook_point_in": "model.layers.4.output", "hf_hook_point_out": "model.layers.4.output"})
    return answered("gemma_3", root, GEMMA_2, folder, Spec("jumprelu", RESID, contract=GEMMA), w, assumed=ASSUMED[1:])


@case("gemma-scope-2-transcoder-affine", format="gemma_scope_2", oracle=LIBRARY, writer=WRITER)
def gemma_2_affine(draw: Draw, root: Path) -> Made:
    # As wide out as in, as they are: no shape tells which way round the skip is.
    w = draw.weights("jumprelu", skip=True)
    folder = "transcoder/layer_4_width_0k_l0_medium_affine"
    cfg = {
        "type": "transcoder",
        "hf_hook_point_in": "model.layers.4.pre_feedforward_layernorm.output",
        "hf_hook_point_out": "model.layers.4.post_feedforward_layernorm.output",
        "affine_connection": True,
    }
    path = root / "gemma-scope-2-1b-pt" / folder
    gemma_2(path, w, cfg)
    spec = Spec("jumprelu", MLP_IN, MLP_OUT, contract=replace(GEMMA, norm_gain=True))
    note = f"{AFTER_GAIN} SAELens calls the place hook_mlp_in, which in TransformerLens is before the norm."
    traced = load_gemma_scope_2_transcoder(str(path / "params.safetensors"), 4, torch.device("cpu"), torch.float64)
    also = {circuit_tracer.LIBRARY: circuit_tracer.runner(traced)}
    return answered("gemma_3", root, GEMMA_2, folder, spec, w, assumed=ASSUMED[1:], note=note, also=also)


@case("goodfire", format="goodfire", oracle=LIBRARY, writer=WRITER)
def goodfire(draw: Draw, root: Path) -> Made:
    w = draw.weights("relu", dtype=torch.bfloat16)
    state = {
        "encoder_linear.weight": w["W_enc"],
        "encoder_linear.bias": w["b_enc"],
        "decoder_linear.weight": w["W_dec"].T.contiguous(),
        "decoder_linear.bias": w["b_dec"],
    }
    repo, file = "Goodfire/Llama-3.1-8B-Instruct-SAE-l19", "Llama-3.1-8B-Instruct-SAE-l19.pth"
    (root / repo.split("/")[-1]).mkdir()
    torch.save(state, root / repo.split("/")[-1] / file)
    return answered("goodfire", root, repo, file, Spec("relu", "blocks.19.hook_resid_post", contract=GEMMA), w, assumed=ASSUMED)
