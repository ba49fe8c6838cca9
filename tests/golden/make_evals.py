"""What SAELens's own evaluation says of dictionaries of a model: python make_evals.py, with requirements-dictionaries.txt.

fixtures/evals/<case>/: a small dictionary of gpt2-odd, saved by SAELens, and in case.json the texts and what sae_lens.evals.run_evals makes of them in
float64. The model is TransformerLens's, its weights as stored. Latents come in pairs that point against each other, so that the dictionary rebuilds a
fair part of what it reads without having been trained, and no score is of pure noise.
"""

import copy
import json
import os
import shutil
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
sys.dont_write_bytecode = True
warnings.simplefilter("ignore")

import torch
from sae_lens import SAE
from sae_lens.evals import get_eval_everything_config, run_evals
from sae_lens.registry import get_sae_class
from sae_lens.training.activation_scaler import ActivationScaler
from transformer_lens import HookedTransformer

from dictionaries.case import Draw
from dictionaries.saelens import LIBRARY, fill, metadata
from make_processed import OFF, from_transformers

MODEL = "gpt2-odd"
FIXTURES = Path(__file__).parent / "fixtures"
ROOT = FIXTURES / "evals"
D, LATENTS = 30, 90
# The tokenizer's BOS, left out of every score; it stands inside a text as well, and one text has none.
SPECIAL = [0]


@dataclass(frozen=True)
class Case:
    name: str
    hook: str
    architecture: str
    more: dict
    seed: int


CASES = (
    Case("standard-resid", "blocks.1.hook_resid_post", "standard", {}, 41),
    Case("topk-mlp-out", "blocks.0.hook_mlp_out", "topk", {"k": 9}, 42),
    Case("jumprelu-z", "blocks.2.attn.hook_z", "jumprelu", {"reshape_activations": "hook_z", "apply_b_dec_to_input": False}, 43),
)


def texts() -> list[list[int]]:
    prompts = [each["ids"] for each in json.loads((FIXTURES / MODEL / "cases.json").read_text())["prompts"]]
    long = prompts[2]
    return [prompts[1], long, prompts[3], long[5:14], [*prompts[1][:4], *SPECIAL, *long[2:9]]]


class Store:
    """Hands run_evals one text a batch, in order; all that it asks of an ActivationsStore."""

    store_batch_size_prompts = 1
    context_size = 0

    def __init__(self, all_texts: list[list[int]]):
        self.texts, self.at = all_texts, 0

    def get_batch_tokens(self, _size: int) -> torch.Tensor:
        found = torch.tensor([self.texts[self.at % len(self.texts)]])
        self.at += 1
        return found

    def reset_input_dataset(self) -> None:
        self.at = 0


def model() -> HookedTransformer:
    cfg, state = from_transformers(MODEL)
    found = HookedTransformer(copy.deepcopy(cfg))
    found.load_and_process_state_dict(state, **OFF)
    return found.double().eval()


def mean_at(m: HookedTransformer, hook: str) -> torch.Tensor:
    rows = []
    for ids in texts():
        _, cache = m.run_with_cache(torch.tensor([ids]), names_filter=hook)
        rows.append(cache[hook][0].flatten(1)[[i for i, token in enumerate(ids) if token not in SPECIAL]])
    return torch.cat(rows).mean(0)


def weights(draw: Draw, each: Case, mean: torch.Tensor) -> dict[str, torch.Tensor]:
    """relu(w·x)w and relu(−w·x)(−w) together are (w·x)w; LATENTS/2 such, over D directions, are LATENTS/(2D) of x."""
    half = draw.normal(LATENTS // 2, D)
    unit = torch.cat([half, -half]) / half.norm(dim=-1).repeat(2)[:, None]
    w = {
        "W_enc": unit + draw.normal(LATENTS, D, by=0.03),
        "W_dec": unit * (2 * D / LATENTS) * torch.from_numpy(0.7 + 0.6 * draw.rng.random((LATENTS, 1))),
        "b_enc": draw.normal(LATENTS, by=0.02),
        "b_dec": mean + draw.normal(D, by=0.01),
    }
    # Where b_dec is not taken off the input, the encoder's bias does it.
    if each.more.get("apply_b_dec_to_input") is False:
        w["b_enc"] = w["b_enc"] - w["W_enc"].double() @ mean
    if each.architecture == "jumprelu":
        w["threshold"] = torch.from_numpy(0.05 * draw.rng.random(LATENTS))
    return {name: value.float() for name, value in w.items()}


def make(each: Case) -> None:
    m = model()
    sae_class, config_class = get_sae_class(each.architecture)
    cfg = config_class(d_in=D, d_sae=LATENTS, dtype="float32", metadata=metadata(each.hook), **each.more)
    sae = sae_class(cfg)
    fill(sae, weights(Draw(each.seed), each, mean_at(m, each.hook)))
    folder = ROOT / each.name
    shutil.rmtree(folder, ignore_errors=True)
    sae.save_model(folder / "files" / each.hook)
    sae = SAE.load_from_disk(folder / "files" / each.hook, dtype="float64")
    found, features = run_evals(
        sae=sae,
        activation_store=Store(texts()),
        model=m,
        activation_scaler=ActivationScaler(),
        eval_config=get_eval_everything_config(
            batch_size_prompts=1, n_eval_reconstruction_batches=len(texts()), n_eval_sparsity_variance_batches=len(texts())
        ),
        exclude_special_tokens=SPECIAL,
    )
    scores = {name: value for group, values in found.items() if group != "token_stats" for name, value in values.items()}
    about = {
        "name": each.name,
        "model": MODEL,
        "oracle": f"{LIBRARY}, sae_lens.evals.run_evals",
        "files": sorted(str(path.relative_to(folder / "files")) for path in (folder / "files").rglob("*") if path.is_file()),
        "special": SPECIAL,
        "texts": texts(),
        "scores": scores,
        "density": features["feature_density"],
    }
    (folder / "case.json").write_text(json.dumps(about, ensure_ascii=False) + "\n")
    print(each.name, json.dumps(scores, indent=1))


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    for each in CASES:
        if not sys.argv[1:] or each.name in sys.argv[1:]:
            make(each)
