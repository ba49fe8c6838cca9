"""What older versions of SAELens left: flat configurations with other names for things, and thresholds as logarithms. No one version wrote them all, so they
are written by hand, from the rules by which SAELens 6 still reads them (handle_pre_6_0_config), and SAELens 6 answers for them.
"""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from sae_lens.registry import get_sae_class
from sae_lens.saes.jumprelu_sae import JumpReLUTrainingSAE, JumpReLUTrainingSAEConfig

from dictionaries.canonical import Contract, Spec, Tensors
from dictionaries.case import D_IN, K, LATENTS, Draw, Made, case
from dictionaries.saelens import LIBRARY, TRANSPOSED, fill, made, metadata, runner

CENTRED = "blocks.4.hook_resid_pre"
WRITER = "by hand"


def write(path: Path, cfg: dict, tensors: Tensors) -> None:
    path.mkdir(parents=True)
    own = {"d_in": D_IN, "d_sae": LATENTS, "dtype": "torch.float32", "device": "cpu", "model_name": "gpt2-small", "context_size": 128}
    (path / "cfg.json").write_text(json.dumps(own | cfg))
    laid = {name: (value.T if name in TRANSPOSED else value).contiguous() for name, value in tensors.items()}
    save_file(laid, path / "sae_weights.safetensors")


@case("saelens-before-6-standard", format="saelens", oracle=LIBRARY, writer=WRITER)
def standard(draw: Draw, folder: Path) -> Made:
    """As gpt2-small-res-jb is: no version, no architecture, hook_point; and a scaling factor of ones, which means nothing."""
    w = draw.weights("relu")
    path = folder / CENTRED
    write(path, {"hook_point": CENTRED, "hook_point_layer": 4, "hook_point_head_index": None}, w | {"scaling_factor": torch.ones(LATENTS)})
    save_file({"sparsity": draw.normal(LATENTS, by=0.8, mean=-3)}, path / "sparsity.safetensors")
    note = (
        "The configuration says nothing of how the model was processed: SAELens's loader of the time centred its writing weights. "
        "The library reads x as it is given, and so must whoever is compared with it: raw."
    )
    return made(Spec("relu", CENTRED, contract=Contract(residual="raw")), w, path, assumed=("contract.residual",), note=note)


@case("saelens-before-6-topk", format="saelens", oracle=LIBRARY, writer=WRITER)
def topk(draw: Draw, folder: Path) -> Made:
    """A top-k that says so by its activation function alone: SAELens issue 553 was to read it as ReLU."""
    hook = "blocks.4.hook_mlp_out"
    w = draw.weights("topk")
    cfg = {
        "architecture": "standard",
        "hook_name": hook,
        "hook_layer": 4,
        "hook_head_index": None,
        "activation_fn_str": "topk",
        "activation_fn_kwargs": {"k": K},
        "apply_b_dec_to_input": False,
        "normalize_activations": "layer_norm",
        "prepend_bos": False,
        "sae_lens_training_version": "4.4.0",
        "model_from_pretrained_kwargs": {"center_writing_weights": False},
    }
    write(folder / hook, cfg, w)
    contract = Contract(normalisation="layer_norm", subtract_b_dec=False, prepend_bos=False)
    return made(Spec("topk", hook, k=K, contract=contract), w, folder / hook, fold=False)


@case("saelens-before-6-hook-z", format="saelens", oracle=LIBRARY, writer=WRITER)
def hook_z(draw: Draw, folder: Path) -> Made:
    """The reshape is told by the hook's name alone, and normalize_activations is a boolean."""
    hook = "blocks.4.attn.hook_z"
    w = draw.weights("relu")
    cfg = {
        "hook_point": hook,
        "hook_point_layer": 4,
        "hook_point_head_index": None,
        "activation_fn_str": "relu",
        "normalize_activations": False,
        "prepend_bos": True,
        "model_from_pretrained_kwargs": {},
    }
    write(folder / hook, cfg, w)
    # What a head writes is not centred, whatever its model's residual is.
    contract = Contract(residual="raw", reshape="hook_z")
    return made(Spec("relu", hook, contract=contract), w, folder / hook, assumed=("contract.residual",))


@case("saelens-before-6-gated", format="saelens", oracle=LIBRARY, writer=WRITER)
def gated(draw: Draw, folder: Path) -> Made:
    w = draw.weights("gated")
    cfg = {
        "architecture": "gated",
        "hook_name": CENTRED,
        "hook_layer": 4,
        "hook_head_index": None,
        "activation_fn_str": "relu",
        "activation_fn_kwargs": {},
        "apply_b_dec_to_input": True,
        "finetuning_scaling_factor": False,
        "normalize_activations": "none",
        "sae_lens_training_version": "3.18.2",
        "model_from_pretrained_kwargs": {"center_writing_weights": False},
    }
    write(folder / CENTRED, cfg, w)
    return made(Spec("gated", CENTRED), w, folder / CENTRED)


@case("saelens-jumprelu-checkpoint", format="saelens", oracle=LIBRARY, writer=f"{LIBRARY}, threshold renamed by hand")
def jumprelu_checkpoint(draw: Draw, folder: Path) -> Made:
    """A training checkpoint from when the threshold was kept as its logarithm."""
    config = JumpReLUTrainingSAEConfig(d_in=D_IN, d_sae=LATENTS, decoder_init_norm=None, metadata=metadata())
    sae = JumpReLUTrainingSAE(config)
    w = draw.weights("jumprelu")
    fill(sae, w)
    path = folder / "checkpoints"
    sae.save_model(path)
    tensors = load_file(path / "sae_weights.safetensors")
    log = tensors.pop("threshold").log()
    save_file(tensors | {"log_threshold": log}, path / "sae_weights.safetensors")
    config = json.loads((path / "cfg.json").read_text())
    config["metadata"] |= {"sae_lens_version": "6.6.0", "sae_lens_training_version": "6.6.0"}
    (path / "cfg.json").write_text(json.dumps(config))
    # The training class rounds its threshold to float32 whatever it is asked for: given what it then holds, the inference class answers in float64.
    held = JumpReLUTrainingSAE.load_from_disk(path)
    inference = get_sae_class("jumprelu")[0](get_sae_class("jumprelu")[1](d_in=D_IN, d_sae=LATENTS, dtype="float64", metadata=metadata()))
    exact = w | {"threshold": log.double().exp()}
    fill(inference, exact)
    assert torch.allclose(held.threshold, exact["threshold"].float(), rtol=1e-6)
    return Made(Spec("jumprelu", CENTRED), exact, runner(inference))
