"""circuit-tracer's transcoders (mwhanna's and mntss's are of its sets): layer_L.safetensors beside a config.yaml that names the hooks.

What the registry has under this name is a fork's release (Caerii/circuit-tracer); the transcoders' file is the original's. The library multiplies by
[pre > θ] without a ReLU, which is the same while thresholds are not negative, as these are.
"""

from importlib.metadata import version
from pathlib import Path

import torch
from circuit_tracer.transcoder.activation_functions import JumpReLU
from circuit_tracer.transcoder.single_layer_transcoder import SingleLayerTranscoder, load_relu_transcoder
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

from dictionaries.canonical import Contract, Spec, Tensors
from dictionaries.case import D_IN, LATENTS, Draw, Made, Run, case

LIBRARY = f"circuit-tracer {version('circuit-tracer')}"
# config.yaml says mlp.hook_in: what goes into the MLP, after the norm's gain.
HOOKS = ("blocks.4.ln2.hook_normalized", "blocks.4.hook_mlp_out")
ASSUMED = ("contract.residual", "contract.prependBos")


def runner(transcoder: SingleLayerTranscoder) -> Run:
    def run(x: torch.Tensor):
        acts = transcoder.encode(x)
        return acts, transcoder.decode(acts, x)

    return run


def save(w: Tensors, folder: Path, model: str) -> SingleLayerTranscoder:
    """One layer of a set, saved by the library."""
    folder.mkdir(parents=True)
    lines = [f"model_name: {model}", "model_kind: transcoder_set", "feature_input_hook: mlp.hook_in", "feature_output_hook: hook_mlp_out"]
    (folder / "config.yaml").write_text("\n".join(lines) + "\n")
    activation = JumpReLU(w["threshold"].clone(), 0.1) if "threshold" in w else F.relu
    cpu = torch.device("cpu")
    transcoder = SingleLayerTranscoder(D_IN, LATENTS, activation, 4, "W_skip" in w, device=cpu, dtype=torch.float32)
    with torch.no_grad():
        for name, value in w.items():
            if name != "threshold":
                getattr(transcoder, name).copy_(value)
    file = str(folder / "layer_4.safetensors")
    transcoder.to_safetensors(file)
    return load_relu_transcoder(file, 4, cpu, torch.float64, lazy_encoder=False, lazy_decoder=False)


def built(draw: Draw, folder: Path, model: str, activation: str, skip: bool = False) -> Made:
    w = draw.weights(activation, skip=skip)
    spec = Spec(activation, *HOOKS, contract=Contract(subtract_b_dec=False, norm_gain=True))
    return Made(spec, w, runner(save(w, folder, model)), assumed=ASSUMED)


@case("mwhanna-transcoder", format="circuit_tracer", oracle=LIBRARY)
def mwhanna(draw: Draw, folder: Path) -> Made:
    return built(draw, folder / "qwen3-0.6b-transcoders-lowl0", "Qwen/Qwen3-0.6B", "relu")


@case("circuit-tracer-skip", format="circuit_tracer", oracle=LIBRARY)
def skip(draw: Draw, folder: Path) -> Made:
    return built(draw, folder / "transcoders", "meta-llama/Llama-3.2-1B", "relu", skip=True)


@case("circuit-tracer-jumprelu", format="circuit_tracer", oracle=LIBRARY)
def jumprelu(draw: Draw, folder: Path) -> Made:
    return built(draw, folder / "transcoders", "google/gemma-2-2b", "jumprelu")


@case("mntss-skip-transcoder", format="circuit_tracer", oracle=LIBRARY, writer=f"{LIBRARY}, W_dec transposed by hand")
def mntss(draw: Draw, folder: Path) -> Made:
    """The older sets: W_dec as a linear layer's weight, [d_out, latents], which the library's loader of the time turned round."""
    made = built(draw, folder / "skip-transcoder-Llama-3.2-1B-131k-nobos", "meta-llama/Llama-3.2-1B", "relu", skip=True)
    file = next(folder.rglob("*.safetensors"))
    tensors = load_file(file)
    save_file(tensors | {"W_dec": tensors["W_dec"].T.contiguous()}, file)
    return made
