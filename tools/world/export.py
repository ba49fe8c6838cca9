"""Writes the model as GPT-2's own files do, and holds what was written against transformers' reading of it.

    python tools/world/export.py --folder build/world [--out build/world/model]

exports the last checkpoint of a run, also while it is running. The folder then has config.json, generation_config.json,
model.safetensors (f16; Conv1D weights [in, out]; no lm_head, the embedding is tied), tokenizer.json and tokenizer_config.json.
"""

import argparse
import json
import shutil
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from data import Reading, held_out, tensors
from model import Model, Shape
from tokens import END, TOKENIZER, encode

# Two float32 programs over the same f16 weights: they differ by the order of sums.
AGREE = 2e-4


def gpt2_names(model: Model) -> dict[str, Tensor]:
    """The weights under the names of GPT-2's own file, Conv1D matrices as [in, out]."""
    parts = {"ln_1": "ln_1", "qkv": "attn.c_attn", "out": "attn.c_proj", "ln_2": "ln_2", "up": "mlp.c_fc", "down": "mlp.c_proj"}
    named = {"wte.weight": model.embed.weight, "wpe.weight": model.position.weight}
    named |= {"ln_f.weight": model.ln_final.weight, "ln_f.bias": model.ln_final.bias}
    for layer, block in enumerate(model.blocks):
        for ours, theirs in parts.items():
            part = getattr(block, ours)
            named[f"h.{layer}.{theirs}.weight"] = part.weight.T if isinstance(part, torch.nn.Linear) else part.weight
            named[f"h.{layer}.{theirs}.bias"] = part.bias
    return {name: weight.detach().cpu().contiguous() for name, weight in named.items()}


def config_of(shape: Shape, end: int) -> dict:
    """config.json, in transformers' words."""
    return {
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "vocab_size": shape.vocab,
        "n_positions": shape.context,
        "n_embd": shape.width,
        "n_layer": shape.layers,
        "n_head": shape.heads,
        "n_inner": None,
        "activation_function": "gelu_new",
        "layer_norm_epsilon": shape.eps,
        "attn_pdrop": 0.0,
        "embd_pdrop": 0.0,
        "resid_pdrop": 0.0,
        "initializer_range": 0.02,
        "scale_attn_weights": True,
        "tie_word_embeddings": True,
        "bos_token_id": end,
        "eos_token_id": end,
        "torch_dtype": "float16",
    }


def rounded(model: Model) -> Model:
    """The same model with its weights rounded to f16, computing in f32."""
    copy = Model(model.shape)
    copy.load_state_dict({name: weight.half().float() for name, weight in model.state_dict().items()})
    return copy.eval()


@torch.no_grad()
def loss_of(model: Model, folder: Path, tokenizer: Path, count: int = 60_000) -> float:
    """Nats a token on the first held-out documents, in f32."""
    corpus = encode(folder / "valid.txt", tokenizer / TOKENIZER)
    reading = Reading(model.shape.context, 2048, 1, 0.0, 0)
    total, targets = 0.0, 0
    for micro in held_out(corpus, reading, count):
        x, y = tensors(corpus, micro, reading.context)
        total += model.loss(x, y).item()
        targets += int((y >= 0).sum())
    return total / targets


@torch.no_grad()
def agreement(model: Model, out: Path) -> float:
    """The largest difference between our logits and transformers' on a random text, as a share of the row's largest logit."""
    from transformers import GPT2LMHeadModel

    theirs, info = GPT2LMHeadModel.from_pretrained(out, dtype=torch.float32, output_loading_info=True, local_files_only=True)
    assert not info["missing_keys"] and not info["mismatched_keys"] and not info["unexpected_keys"], info
    ids = torch.from_numpy(np.random.default_rng(0).integers(0, model.shape.vocab, (2, model.shape.context)))
    ours, reference = model(ids), theirs.eval()(ids).logits
    return ((ours - reference).abs() / reference.abs().amax(-1, keepdim=True)).max().item()


@torch.no_grad()
def sample(model: Model, tokenizer_json: Path, prompt: str, tokens: int = 60, temperature: float = 0.8, seed: int = 1) -> str:
    """A text the model writes, for the eye."""
    from tokenizers import Tokenizer

    tokenizer, random = Tokenizer.from_file(str(tokenizer_json)), torch.Generator().manual_seed(seed)
    ids = [tokenizer.token_to_id(END), *tokenizer.encode(prompt, add_special_tokens=False).ids]
    for _ in range(tokens):
        probabilities = F.softmax(model(torch.tensor([ids]))[0, -1] / temperature, dim=-1)
        ids.append(int(torch.multinomial(probabilities, 1, generator=random)))
        if ids[-1] == ids[0] or len(ids) == model.shape.context:
            break
    return tokenizer.decode(ids[1:])


def export(model: Model, folder: Path, tokenizer: Path, out: Path) -> dict:
    """Writes the folder; returns what was measured. Asserts that transformers computes the same function from it."""
    out.mkdir(parents=True, exist_ok=True)
    for name in (TOKENIZER, "tokenizer_config.json"):
        if (tokenizer / name).resolve() != (out / name).resolve():
            shutil.copyfile(tokenizer / name, out / name)
    end = {each["content"]: each["id"] for each in json.loads((out / TOKENIZER).read_text())["added_tokens"]}[END]
    plain = Model(model.shape)
    plain.load_state_dict({name: weight.detach().float().cpu() for name, weight in model.state_dict().items()})
    half = {name: weight.half() for name, weight in gpt2_names(plain).items()}
    assert all(torch.isfinite(weight).all() for weight in half.values())
    save_file(half, out / "model.safetensors", metadata={"format": "pt"})
    (out / "config.json").write_text(json.dumps(config_of(model.shape, end), indent=2) + "\n")
    (out / "generation_config.json").write_text(json.dumps({"bos_token_id": end, "eos_token_id": end}, indent=2) + "\n")
    stored = rounded(plain)
    difference = agreement(stored, out)
    assert difference <= AGREE, f"transformers' logits differ by {difference:.1e} of the largest (at most {AGREE:.0e})"
    return {
        "parameters": sum(p.numel() for p in plain.parameters()),
        "bytes": sum(each.stat().st_size for each in out.iterdir()),
        "loss_f32": loss_of(plain.eval(), folder, tokenizer),
        "loss_f16": loss_of(stored, folder, tokenizer),
        "transformers_difference": difference,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("build/world"))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--checkpoint", default="checkpoint.pt")
    args = parser.parse_args()
    state = torch.load(args.folder / args.checkpoint, map_location="cpu", weights_only=True)
    model = Model(Shape(**state["shape"]))
    model.load_state_dict(state["weights"])
    out = args.out or args.folder / "model"
    print(json.dumps({"out": str(out), "tokens": state["tokens"], **export(model, args.folder, args.folder / "tokenizer", out)}, indent=2))


if __name__ == "__main__":
    main()
