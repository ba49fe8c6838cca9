"""SAELens 6: every architecture that has a canonical form, saved by the library and read back by it in float64."""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from sae_lens import SAE, __version__
from sae_lens.evals import ExplainedVarianceCalculator
from sae_lens.registry import get_sae_class
from sae_lens.saes.batchtopk_sae import BatchTopKTrainingSAE, BatchTopKTrainingSAEConfig
from sae_lens.saes.matryoshka_batchtopk_sae import MatryoshkaBatchTopKTrainingSAE, MatryoshkaBatchTopKTrainingSAEConfig
from sae_lens.saes.sae import SAEMetadata

from dictionaries.canonical import Contract, Spec, Tensors
from dictionaries.case import D_IN, D_OUT, EDITS, K, LATENTS, Draw, Made, Run, case

LIBRARY = f"sae-lens {__version__}"
HOOK = "blocks.4.hook_resid_pre"
MLP_IN, MLP_OUT = "blocks.4.ln2.hook_normalized", "blocks.4.hook_mlp_out"
# Four heads of five side by side are one vector of D_IN.
HEADS = 4
TRANSPOSED = ("W_enc",)


def metadata(hook: str = HOOK, hook_out: str | None = None, **more) -> SAEMetadata:
    said = {
        "model_name": "gpt2-small",
        "hook_name": hook,
        "hook_head_index": None,
        "prepend_bos": True,
        "context_size": 64,
        "dataset_path": "Skylion007/openwebtext",
        "model_from_pretrained_kwargs": {"center_writing_weights": False},
    }
    return SAEMetadata(**said, **({"hook_name_out": hook_out} if hook_out else {}), **more)


def fill(module: torch.nn.Module, w: Tensors) -> None:
    """The library's parameters are the canonical ones, W_enc [d_in, d_sae]."""
    with torch.no_grad():
        for name, value in w.items():
            getattr(module, name).copy_(value.T if name in TRANSPOSED else value)


def read(folder: Path, fold: bool = False) -> SAE:
    return SAE.load_from_disk(folder, dtype="float64", fold_W_dec_norm=fold)


def runner(sae: SAE) -> Run:
    """Runs rows, as heads where the library wants heads. The library's skip is in its forward alone, so that is what is asked."""

    def run(x: torch.Tensor):
        rows = x.unflatten(-1, (HEADS, -1)) if sae.cfg.reshape_activations == "hook_z" else x
        acts = sae.encode(rows)
        return acts, sae(rows).reshape(x.shape[0], -1)

    return run


def edited(sae: SAE):
    """EDITS by a hook on the activations, with the library's error term kept: of a pass that no hook touches."""

    def edit(acts: torch.Tensor, hook):
        acts = acts.clone()
        for each in EDITS:
            before = acts[..., each["latent"]]
            acts[..., each["latent"]] = {"set": 0 * before + each["value"], "add": before + each["value"], "scale": before * each["value"]}[each["op"]]
        return acts

    def run(x: torch.Tensor) -> torch.Tensor:
        sae.use_error_term = True
        rows = x.unflatten(-1, (HEADS, -1)) if sae.cfg.reshape_activations == "hook_z" else x
        return sae.run_with_hooks(rows, fwd_hooks=[("hook_sae_acts_post", edit)]).reshape(x.shape)

    return run


def scores(sae: SAE):
    def score(x: torch.Tensor) -> dict[str, float]:
        with torch.no_grad():
            _, out = runner(sae)(x)
        calculator = ExplainedVarianceCalculator()
        calculator.add_batch(sae_output=out, hidden_acts=x)
        return {"explainedVarianceSaeLens": calculator.compute()}

    return score


def simple(draw: Draw, folder: Path, architecture: str, spec: Spec, *, dtype="float32", at="", w: Tensors | None = None, **cfg) -> tuple[Tensors, Path]:
    """Draws, builds, fills and saves one of the inference classes; the folder is named for the hook, as runs are uploaded."""
    d_out = cfg.get("d_out", D_IN)
    stored = getattr(torch, dtype)
    w = w or draw.weights(spec.activation, d_out=d_out, skip="skip" in architecture, dtype=stored)
    sae_class, config_class = get_sae_class(architecture)
    contract = spec.contract
    config = config_class(
        d_in=D_IN,
        d_sae=LATENTS,
        dtype=dtype,
        apply_b_dec_to_input=contract.subtract_b_dec,
        reshape_activations=contract.reshape,
        metadata=metadata(spec.hook_in, spec.hook_out),
        **cfg,
    )
    sae = sae_class(config)
    fill(sae, w)
    path = folder / (at or spec.hook_in)
    sae.save_model(path)
    return w, path


def made(spec: Spec, w: Tensors, path: Path, fold: bool = True, **more) -> Made:
    """What the library says of a saved dictionary. Its transcoders have no error term."""
    folded = runner(read(path, fold=True)) if fold else None
    if spec.out == spec.hook_in:
        more |= {"edited": edited(read(path)), "scores": scores(read(path))}
    return Made(spec, w, runner(read(path)), folded=folded, **more)


@case("saelens-standard", format="saelens", oracle=LIBRARY)
def standard(draw: Draw, folder: Path) -> Made:
    spec = Spec("relu", HOOK)
    w, path = simple(draw, folder, "standard", spec)
    # log10 of how often each latent fired, as runs leave it beside the weights.
    save_file({"sparsity": draw.normal(LATENTS, by=0.8, mean=-3)}, path / "sparsity.safetensors")
    return made(spec, w, path)


@case("saelens-standard-layernorm", format="saelens", oracle=LIBRARY)
def layer_norm(draw: Draw, folder: Path) -> Made:
    spec = Spec("relu", HOOK, contract=Contract(normalisation="layer_norm", subtract_b_dec=False))
    return made(spec, *simple(draw, folder, "standard", spec, normalize_activations="layer_norm"))


@case("saelens-standard-average", format="saelens", oracle=LIBRARY)
def average(draw: Draw, folder: Path) -> Made:
    spec = Spec("relu", HOOK)
    w, path = simple(draw, folder, "standard", spec, normalize_activations="expected_average_only_in")
    scaled = read(path)
    scaled.fold_activation_norm_scaling_factor(0.37)
    note = "The scale is of the dataset and in no file: without it the library warns and goes on; `scaled_…` is its fold with `scaledBy`."
    return made(spec, w, path, scaled=(0.37, runner(scaled)), note=note)


@case("saelens-topk", format="saelens", oracle=LIBRARY)
def topk(draw: Draw, folder: Path) -> Made:
    spec = Spec("topk", HOOK, k=K)
    return made(spec, *simple(draw, folder, "topk", spec, k=K), fold=False)


@case("saelens-topk-rescaled", format="saelens", oracle=LIBRARY)
def topk_rescaled(draw: Draw, folder: Path) -> Made:
    spec = Spec("topk", HOOK, k=K, contract=Contract(rescale=True, subtract_b_dec=False))
    # Folded, the library keeps the flag and the norms are ones.
    return made(spec, *simple(draw, folder, "topk", spec, k=K, rescale_acts_by_decoder_norm=True))


@case("saelens-jumprelu", format="saelens", oracle=LIBRARY)
def jumprelu(draw: Draw, folder: Path) -> Made:
    spec = Spec("jumprelu", HOOK, contract=Contract(subtract_b_dec=False, prepend_bos=True))
    w = draw.weights("jumprelu")
    # A threshold below zero lets nothing negative through.
    w["threshold"][:3] = torch.tensor([-0.5, 0.0, -0.125])
    return made(spec, *simple(draw, folder, "jumprelu", spec, w=w))


@case("saelens-jumprelu-bf16", format="saelens", oracle=LIBRARY)
def jumprelu_bf16(draw: Draw, folder: Path) -> Made:
    spec = Spec("jumprelu", HOOK)
    return made(spec, *simple(draw, folder, "jumprelu", spec, dtype="bfloat16"))


@case("saelens-gated", format="saelens", oracle=LIBRARY)
def gated(draw: Draw, folder: Path) -> Made:
    spec = Spec("gated", HOOK)
    return made(spec, *simple(draw, folder, "gated", spec, dtype="float16"))


@case("saelens-hook-z", format="saelens", oracle=LIBRARY)
def hook_z(draw: Draw, folder: Path) -> Made:
    spec = Spec("relu", "blocks.4.attn.hook_z", contract=Contract(reshape="hook_z"))
    return made(spec, *simple(draw, folder, "standard", spec))


def transcoder(draw: Draw, folder: Path, architecture: str, activation: str, fold: bool = True, d_out: int = D_OUT, **cfg) -> Made:
    normalisation = cfg.get("normalize_activations", "none")
    spec = Spec(activation, MLP_IN, MLP_OUT, contract=Contract(normalisation=normalisation, subtract_b_dec=False))
    return made(spec, *simple(draw, folder, architecture, spec, d_out=d_out, **cfg), fold=fold)


@case("saelens-transcoder", format="saelens", oracle=LIBRARY)
def relu_transcoder(draw: Draw, folder: Path) -> Made:
    return transcoder(draw, folder, "transcoder", "relu")


@case("saelens-transcoder-layernorm", format="saelens", oracle=LIBRARY)
def layer_norm_transcoder(draw: Draw, folder: Path) -> Made:
    # As wide out as in, so that undoing the norm would be possible, and wrong.
    return transcoder(draw, folder, "transcoder", "relu", d_out=D_IN, normalize_activations="layer_norm")


@case("saelens-skip-transcoder", format="saelens", oracle=LIBRARY)
def skip_transcoder(draw: Draw, folder: Path) -> Made:
    return transcoder(draw, folder, "skip_transcoder", "relu")


@case("saelens-jumprelu-transcoder", format="saelens", oracle=LIBRARY)
def jumprelu_transcoder(draw: Draw, folder: Path) -> Made:
    return transcoder(draw, folder, "jumprelu_transcoder", "jumprelu")


@case("saelens-jumprelu-skip-transcoder", format="saelens", oracle=LIBRARY)
def jumprelu_skip_transcoder(draw: Draw, folder: Path) -> Made:
    # As wide out as in: the skip's orientation is told by the format alone.
    return transcoder(draw, folder, "jumprelu_skip_transcoder", "jumprelu", d_out=D_IN)


def saved_tensors(path: Path) -> Tensors:
    return {name: (value.T if name in TRANSPOSED else value) for name, value in load_file(path / "sae_weights.safetensors").items()}


def after_training(draw: Draw, folder: Path, sae_class, config_class, **cfg) -> Made:
    """A batch top-k as training leaves it: saved for inference as JumpReLU, its decoder norms folded."""
    config = config_class(d_in=D_IN, d_sae=LATENTS, k=K, decoder_init_norm=None, metadata=metadata(), **cfg)
    sae = sae_class(config)
    fill(sae, draw.weights("topk"))
    sae.topk_threshold.fill_(0.65)
    path = folder / HOOK
    sae.save_inference_model(path)
    # The library writes the keys in the order of a set, which is another in every run.
    cfg = path / "cfg.json"
    cfg.write_text(json.dumps(json.loads(cfg.read_text()), sort_keys=True))
    return made(Spec("jumprelu", HOOK), saved_tensors(path), path)


@case("saelens-batchtopk", format="saelens", oracle=LIBRARY)
def batch_topk(draw: Draw, folder: Path) -> Made:
    return after_training(draw, folder, BatchTopKTrainingSAE, BatchTopKTrainingSAEConfig)


@case("saelens-matryoshka", format="saelens", oracle=LIBRARY)
def matryoshka(draw: Draw, folder: Path) -> Made:
    return after_training(
        draw, folder, MatryoshkaBatchTopKTrainingSAE, MatryoshkaBatchTopKTrainingSAEConfig, matryoshka_widths=[8, 24, LATENTS]
    )
