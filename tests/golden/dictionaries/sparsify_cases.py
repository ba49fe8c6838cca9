"""sparsify (EleutherAI): sparse coders saved by the library, one folder a hookpoint, under the folder of a run."""

from importlib.metadata import version
from pathlib import Path

import torch
from sparsify import SparseCoder, SparseCoderConfig

from dictionaries.canonical import Contract, Spec, Tensors
from dictionaries.case import D_IN, K, LATENTS, Draw, Made, Run, case

LIBRARY = f"eai-sparsify {version('eai-sparsify')}"
ASSUMED = ("contract.residual", "contract.prependBos")
RUN = "EleutherAI-sae-pythia-70m"


def fill(coder: SparseCoder, w: Tensors) -> None:
    with torch.no_grad():
        coder.encoder.weight.copy_(w["W_enc"])
        coder.encoder.bias.copy_(w["b_enc"])
        for name in ("W_dec", "b_dec", "W_skip"):
            if name in w:
                getattr(coder, name).copy_(w[name])


def runner(coder: SparseCoder) -> Run:
    def run(x: torch.Tensor):
        values, indices, _ = coder.encode(x)
        acts = torch.zeros(x.shape[0], coder.num_latents, dtype=x.dtype).scatter(-1, indices, values)
        return acts, coder(x).sae_out

    return run


def scores(coder: SparseCoder):
    def score(x: torch.Tensor) -> dict[str, float]:
        with torch.no_grad():
            return {"fvu": coder(x).fvu.item()}

    return score


def save(coder: SparseCoder, path: Path) -> SparseCoder:
    coder.save_to_disk(path)
    return SparseCoder.load_from_disk(path).double()


@case("sparsify-topk", format="sparsify", oracle=LIBRARY)
def topk(draw: Draw, folder: Path) -> Made:
    # num_latents 0 means the expansion factor's: 60 here.
    w = draw.weights("topk", latents=3 * D_IN)
    coder = SparseCoder(D_IN, SparseCoderConfig(k=K, expansion_factor=3))
    fill(coder, w)
    spec = Spec("topk", "blocks.4.hook_resid_post", k=K)
    coder = save(coder, folder / RUN / "layers.4")
    return Made(spec, w, runner(coder), scores=scores(coder), assumed=ASSUMED)


@case("sparsify-topk-ties", format="sparsify", oracle="the canonical form", writer=LIBRARY)
def ties(draw: Draw, folder: Path) -> Made:
    """Every latent has a twin that encodes alike and decodes otherwise, and k is odd: the last place is a tie in every row."""
    w = draw.weights("topk")
    half = LATENTS // 2
    for name in ("W_enc", "b_enc"):
        w[name][half:] = w[name][:half]
    coder = SparseCoder(D_IN, SparseCoderConfig(k=K, num_latents=LATENTS))
    fill(coder, w)
    spec = Spec("topk", "blocks.4.hook_resid_post", k=K)
    note = "torch.topk promises no order among equals; ours is the lowest index, and that is what is expected here."
    return Made(spec, w, runner(save(coder, folder / RUN / "layers.4")), assumed=ASSUMED, note=note, ties=True)


@case("sparsify-transcoder", format="sparsify", oracle=LIBRARY)
def transcoder(draw: Draw, folder: Path) -> Made:
    w = draw.weights("topk", skip=True, dtype=torch.bfloat16)
    coder = SparseCoder(D_IN, SparseCoderConfig(k=K, num_latents=LATENTS, transcode=True, skip_connection=True), dtype=torch.bfloat16)
    fill(coder, w)
    contract = Contract(subtract_b_dec=False, norm_gain=True)
    spec = Spec("topk", "blocks.4.ln2.hook_normalized", "blocks.4.hook_mlp_out", k=K, contract=contract)
    note = "Reads what goes into the MLP module, which is after the norm's gain; TransformerLens's hook_normalized is before it."
    return Made(spec, w, runner(save(coder, folder / RUN / "layers.4.mlp")), assumed=ASSUMED, note=note)
