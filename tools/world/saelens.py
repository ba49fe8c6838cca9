"""A trained dictionary as SAELens 6 keeps it (cfg.json, sae_weights.safetensors), and read back as whoever loads it computes it.

The training's fixed centre and scale are folded in, so the contract is the plainest there is: raw residual, no normalisation, b_dec not
subtracted. z = (x − mean)·s; a' = a/s:  b_enc' = b_enc/s − W_enc·mean, θ' = θ/s, b_dec' = b_dec/s + mean, both matrices as they are.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from dictionary import Dictionary

MODEL_NAME = "lanternwick"


def write(dictionary: Dictionary, folder: Path, tokens: int) -> None:
    """cfg.json and sae_weights.safetensors: matrices in f16, vectors in f32."""
    plan, w, s = dictionary.plan, dictionary.weights, float(dictionary.scale)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        "W_enc": w["W_enc"].T.contiguous().half(),
        "W_dec": w["W_dec"].contiguous().half(),
        "b_enc": w["b_enc"] / s - w["W_enc"] @ dictionary.mean,
        "b_dec": w["b_dec"] / s + dictionary.mean,
        "threshold": torch.full((plan.latents,), dictionary.threshold / s),
    }
    assert all(torch.isfinite(each).all() for each in tensors.values())
    save_file(tensors, folder / "sae_weights.safetensors", metadata={"format": "pt"})
    cfg = {
        "architecture": "jumprelu",
        "d_in": w["W_dec"].shape[1],
        "d_sae": plan.latents,
        "dtype": "float16",
        "device": "cpu",
        "apply_b_dec_to_input": False,
        "normalize_activations": "none",
        "reshape_activations": "none",
        "metadata": {
            "sae_lens_version": "6.0.0",
            "model_name": MODEL_NAME,
            "hook_name": plan.hook,
            "hook_head_index": None,
            "prepend_bos": True,
            "exclude_special_tokens": True,
            "context_size": 256,
            "dataset_path": "tools/world",
            "trained_as": "matryoshka batchtopk" if plan.groups else "batchtopk",
            "k": plan.k,
            "training_tokens": tokens,
        },
    }
    (folder / "cfg.json").write_text(json.dumps(cfg, indent=2) + "\n")


@dataclass(frozen=True)
class Shipped:
    """The files, as float32."""

    hook: str
    W_enc: Tensor
    W_dec: Tensor
    b_enc: Tensor
    b_dec: Tensor
    threshold: Tensor

    def encode(self, x: Tensor) -> Tensor:
        """[n, d] → [n, latents]: JumpReLU."""
        pre = x @ self.W_enc + self.b_enc
        return pre * (pre > self.threshold)

    def decode(self, a: Tensor) -> Tensor:
        return a @ self.W_dec + self.b_dec


def read(folder: Path) -> Shipped:
    cfg = json.loads((folder / "cfg.json").read_text())
    assert cfg["architecture"] == "jumprelu" and cfg["normalize_activations"] == "none" and not cfg["apply_b_dec_to_input"]
    return Shipped(cfg["metadata"]["hook_name"], **{name: each.float() for name, each in load_file(folder / "sae_weights.safetensors").items()})
