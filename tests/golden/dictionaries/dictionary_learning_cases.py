"""dictionary_learning: each class as its trainer saves it, `ae.pt` beside `config.json`.

The package imports nnsight to read models with; no model is read here, so an empty module of that name stands in for it. The trainers
make the autoencoders and their configurations; what trainSAE does after training, a dict of tensors into torch.save, is done here.
"""

import json
import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from types import ModuleType

import torch

if "nnsight" not in sys.modules:
    stand_in = ModuleType("nnsight")
    stand_in.LanguageModel = object
    sys.modules["nnsight"] = stand_in

import dictionary_learning
from dictionary_learning.evaluation import evaluate
from dictionary_learning.trainers import BatchTopKTrainer, GatedSAETrainer, JumpReluTrainer, StandardTrainer, TopKTrainer
from dictionary_learning.trainers.matryoshka_batch_top_k import MatryoshkaBatchTopKTrainer

from dictionaries import saelens
from dictionaries.canonical import Contract, Spec, Tensors
from dictionaries.case import D_IN, K, LATENTS, Draw, Made, Run, case
from dictionaries.saelens_loaders import loaded

LIBRARY = f"dictionary_learning {dictionary_learning.__version__}"
HOOK = "blocks.4.hook_resid_post"
ASSUMED = ("contract.residual", "contract.prependBos")


def laid_out(ae: torch.nn.Module, values: dict[str, torch.Tensor]) -> None:
    """Into the parameters that are there, which keeps their strides: these classes' weights are views of transposed storage."""
    own = dict(ae.named_parameters()) | dict(ae.named_buffers())
    with torch.no_grad():
        for name, value in values.items():
            own[name].copy_(value)


def save(trainer, folder: Path) -> torch.nn.Module:
    path = folder / "resid_post_layer_4" / "trainer_0"
    path.mkdir(parents=True)
    buffer = {"d_submodule": D_IN, "io": "out", "n_ctxs": 244, "ctx_len": 128, "refresh_batch_size": 32, "out_batch_size": 2048, "device": "cpu"}
    (path / "config.json").write_text(json.dumps({"trainer": trainer.config, "buffer": buffer}, indent=4))
    torch.save({name: value.cpu() for name, value in trainer.ae.state_dict().items()}, path / "ae.pt")
    again = torch.load(path / "ae.pt", weights_only=True)
    trainer.ae.load_state_dict(again)
    return trainer.ae.double()


def runner(ae: torch.nn.Module) -> Run:
    def run(x: torch.Tensor):
        acts = ae.encode(x)
        return acts, ae.decode(acts)

    return run


def scores(ae: torch.nn.Module):
    def score(x: torch.Tensor) -> dict[str, float]:
        found = evaluate(ae, iter([x]))
        names = {"l0": "l0", "l1_loss": "l1", "cossim": "cosine", "frac_variance_explained": "explainedVarianceDictionaryLearning"}
        return {ours: found[theirs] for theirs, ours in names.items()}

    return score


def also(folder: Path) -> dict[str, Run]:
    """SAELens's reading of the same files."""
    read = loaded("dictionary_learning_1", folder.parent, f"canrager/{folder.name}", "resid_post_layer_4/trainer_0")
    return {saelens.LIBRARY: saelens.runner(read)}


def as_pretrained(ae: torch.nn.Module, folder: Path) -> torch.nn.Module:
    """The class's own loader, which makes its tensors of the default type and says on the way what it does."""
    torch.set_default_dtype(torch.float64)
    try:
        with redirect_stdout(StringIO()):
            return type(ae).from_pretrained(next(folder.rglob("ae.pt")))
    finally:
        torch.set_default_dtype(torch.float32)


def trainer_of(kind, **more):
    common = {"steps": 10_000, "activation_dim": D_IN, "dict_size": LATENTS, "layer": 4, "lm_name": "EleutherAI/pythia-70m-deduped"}
    return kind(**common, device="cpu", submodule_name="resid_post_layer_4", **more)


def linears(w: Tensors) -> dict[str, torch.Tensor]:
    named = {"encoder.weight": w["W_enc"], "decoder.weight": w["W_dec"].T}
    return named | ({"encoder.bias": w["b_enc"]} if "b_enc" in w else {})


@case("dictionary-learning-standard", format="dictionary_learning", oracle=LIBRARY)
def standard(draw: Draw, folder: Path) -> Made:
    w = draw.weights("relu")
    trainer = trainer_of(StandardTrainer, seed=0)
    laid_out(trainer.ae, linears(w) | {"bias": w["b_dec"]})
    ae = save(trainer, folder)
    note = "AutoEncoder.from_pretrained folds decoder norms by default; `activations` are the file's own, `folded_activations` the loader's."
    return Made(Spec("relu", HOOK), w, runner(ae), folded=runner(as_pretrained(ae, folder)), scores=scores(ae), also=also(folder), assumed=ASSUMED, note=note)


@case("dictionary-learning-gated", format="dictionary_learning", oracle=LIBRARY)
def gated(draw: Draw, folder: Path) -> Made:
    w = draw.weights("gated")
    trainer = trainer_of(GatedSAETrainer, seed=0)
    biases = {"decoder_bias": w["b_dec"], "gate_bias": w["b_gate"], "mag_bias": w["b_mag"], "r_mag": w["r_mag"]}
    laid_out(trainer.ae, linears(w) | biases)
    ae = save(trainer, folder)
    return Made(Spec("gated", HOOK), w, runner(ae), scores=scores(ae), also=also(folder), assumed=ASSUMED)


@case("dictionary-learning-jumprelu", format="dictionary_learning", oracle=LIBRARY)
def jumprelu(draw: Draw, folder: Path) -> Made:
    w = draw.weights("jumprelu")
    trainer = trainer_of(JumpReluTrainer, seed=0)
    laid_out(trainer.ae, w | {"W_enc": w["W_enc"].T})
    spec = Spec("jumprelu", HOOK, contract=Contract(subtract_b_dec=False))
    ae = save(trainer, folder)
    return Made(spec, w, runner(ae), scores=scores(ae), also=also(folder), assumed=ASSUMED)


@case("dictionary-learning-topk", format="dictionary_learning", oracle=LIBRARY)
def topk(draw: Draw, folder: Path) -> Made:
    w = draw.weights("topk")
    trainer = trainer_of(TopKTrainer, k=K, seed=0)
    # The threshold that training keeps beside k is there and not used: this class encodes by its k unless asked otherwise.
    laid_out(trainer.ae, linears(w) | {"b_dec": w["b_dec"], "threshold": torch.tensor(0.9)})
    ae = save(trainer, folder)
    return Made(Spec("topk", HOOK, k=K), w, runner(ae), scores=scores(ae), also=also(folder), assumed=ASSUMED)


THRESHOLD = torch.tensor(0.7)


@case("dictionary-learning-batchtopk", format="dictionary_learning", oracle=LIBRARY)
def batch_topk(draw: Draw, folder: Path) -> Made:
    w = draw.weights("topk")
    trainer = trainer_of(BatchTopKTrainer, k=K, seed=0)
    laid_out(trainer.ae, linears(w) | {"b_dec": w["b_dec"], "threshold": THRESHOLD})
    ae = save(trainer, folder)
    return Made(Spec("jumprelu", HOOK), w | {"threshold": THRESHOLD.expand(LATENTS)}, runner(ae), scores=scores(ae), also=also(folder), assumed=ASSUMED)


@case("dictionary-learning-matryoshka", format="dictionary_learning", oracle=LIBRARY)
def matryoshka(draw: Draw, folder: Path) -> Made:
    w = draw.weights("topk")
    trainer = trainer_of(MatryoshkaBatchTopKTrainer, k=K, group_fractions=[0.25, 0.25, 0.5], seed=0)
    laid_out(trainer.ae, w | {"W_enc": w["W_enc"].T, "threshold": THRESHOLD})
    ae = save(trainer, folder)
    return Made(Spec("jumprelu", HOOK), w | {"threshold": THRESHOLD.expand(LATENTS)}, runner(ae), scores=scores(ae), also=also(folder), assumed=ASSUMED)
