"""A trained dictionary as SAELens 6 keeps it (cfg.json, sae_weights.safetensors), and read back as whoever loads it computes it.

The training's fixed centre and mixing are folded in and the rows of W_dec brought back to length 1, so the contract is the plainest there is: raw
residual, no normalisation, b_dec not subtracted. z = (x − mean) M, r = W_dec M⁻¹, a' = a·‖r‖:
W_enc' = M W_encᵀ·‖r‖, b_enc' = b_enc·‖r‖ − mean W_enc', θ' = θ·‖r‖, W_dec' = r/‖r‖, b_dec' = b_dec M⁻¹ + mean.
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
    plan, w = dictionary.plan, dictionary.weights
    back = torch.linalg.inv(dictionary.mix.double()).float()
    rows = w["W_dec"] @ back
    lengths = rows.norm(dim=1)
    encoder = ((dictionary.mix @ w["W_enc"].T) * lengths).half()
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        "W_enc": encoder.contiguous(),
        "W_dec": (rows / lengths[:, None]).half(),
        # Of the rounded encoder: the stream's mean is long.
        "b_enc": w["b_enc"] * lengths - dictionary.mean @ encoder.float(),
        "b_dec": w["b_dec"] @ back + dictionary.mean,
        "threshold": dictionary.threshold * lengths,
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
