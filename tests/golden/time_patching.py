"""How long TransformerLens takes for the grid that bench/sweep.mjs measures: python time_patching.py [rounds], with requirements-patching.txt.

A GPT-2-small-shaped model with random weights in float32 on this machine's processor, a pair of 16 tokens that differs from the second token on, resid_pre
by layer and position, one forward pass a cell. Prints seconds of each grid, and of the median forward pass before and after it.
"""

import statistics
import sys
import time

import torch
from transformer_lens import HookedTransformer, HookedTransformerConfig, patching

TOKENS = 16
FORWARDS = 5


def timed(work) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main(rounds: int) -> None:
    torch.manual_seed(1)
    cfg = HookedTransformerConfig(
        n_layers=12,
        d_model=768,
        n_heads=12,
        d_head=64,
        d_mlp=3072,
        n_ctx=1024,
        d_vocab=50257,
        act_fn="gelu_new",
        normalization_type="LN",
        seed=1,
    )
    model = HookedTransformer(cfg)
    model.eval()
    clean = torch.arange(TOKENS)[None] + 1
    corrupted = clean.clone()
    corrupted[:, 1:] += 7
    with torch.no_grad():
        _, cache = model.run_with_cache(clean)
        forwards = [timed(lambda: model(corrupted)) for _ in range(FORWARDS)]
        for _ in range(rounds):
            grid = timed(
                lambda: patching.get_act_patch_resid_pre(
                    model, corrupted, cache, lambda logits: logits[0, -1, 5] - logits[0, -1, 9]
                )
            )
            after = [timed(lambda: model(corrupted)) for _ in range(FORWARDS)]
            forward = statistics.median(forwards + after)
            cells = cfg.n_layers * TOKENS
            print(f"grid {grid:.2f} s, forward {1000 * forward:.1f} ms, ratio {grid / (cells * forward):.3f}")
            forwards = after


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
