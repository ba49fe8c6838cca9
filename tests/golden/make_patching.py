"""TransformerLens's own patching functions on three fixtures: python make_patching.py [name …], with requirements-patching.txt.

fixtures/patching/<fixture>.json: a pair of prompts, two tokens, and, for each grid of transformer_lens.patching, its raw metric (the logit difference at
the last position) when clean activations are put into the corrupted run, in float64, row-major.
"""

import copy
import json
import sys

import torch
from make_processed import OFF, ROOT, from_toy, from_transformers
from transformer_lens import HookedTransformer, patching

# Name in our words, and TransformerLens's function.
GRIDS = {
    "resid_pre/layer-position": patching.get_act_patch_resid_pre,
    "resid_mid/layer-position": patching.get_act_patch_resid_mid,
    "attn_out/layer-position": patching.get_act_patch_attn_out,
    "mlp_out/layer-position": patching.get_act_patch_mlp_out,
    "z/layer-head": patching.get_act_patch_attn_head_out_all_pos,
    "q/layer-head": patching.get_act_patch_attn_head_q_all_pos,
    "k/layer-head": patching.get_act_patch_attn_head_k_all_pos,
    "v/layer-head": patching.get_act_patch_attn_head_v_all_pos,
    "pattern/layer-head": patching.get_act_patch_attn_head_pattern_all_pos,
    "z/layer-position-head": patching.get_act_patch_attn_head_out_by_pos,
    "q/layer-position-head": patching.get_act_patch_attn_head_q_by_pos,
    "k/layer-position-head": patching.get_act_patch_attn_head_k_by_pos,
    "v/layer-position-head": patching.get_act_patch_attn_head_v_by_pos,
    "pattern/layer-position-head": patching.get_act_patch_attn_head_pattern_by_pos,
    "pattern/head-dest-src": patching.get_act_patch_attn_head_pattern_dest_src_pos,
}
CLEAN = [1, 5, 9, 14, 3, 22]
CORRUPTED = [1, 6, 9, 14, 2, 22]
TOKENS = [4, 7]


def make(name: str) -> None:
    cfg, state = from_toy(name) if name.startswith("toy") else from_transformers(name)
    model = HookedTransformer(copy.deepcopy(cfg))
    model.load_and_process_state_dict({key: value.clone() for key, value in state.items()}, **OFF)
    model = model.double()
    clean, corrupted = torch.tensor([CLEAN]), torch.tensor([CORRUPTED])

    def metric(logits: torch.Tensor) -> torch.Tensor:
        return logits[0, -1, TOKENS[0]] - logits[0, -1, TOKENS[1]]

    grids = {}
    with torch.no_grad():
        logits, cache = model.run_with_cache(clean)
        sides = [metric(logits).item(), metric(model(corrupted)).item()]
        for grid, patch in GRIDS.items():
            # TransformerLens counts query heads where it patches keys and values, which are fewer here.
            if grid[0] in "kv" and cfg.n_key_value_heads not in (None, cfg.n_heads):
                continue
            # Its result is made in float32, whatever the model is in.
            torch.set_default_dtype(torch.float64)
            found = patch(model, corrupted, cache, metric)
            torch.set_default_dtype(torch.float32)
            grids[grid] = [round(x, 9) for x in found.flatten().tolist()]
    out = {"clean": CLEAN, "corrupted": CORRUPTED, "tokens": TOKENS, "sides": sides, "grids": grids}
    path = ROOT / "patching" / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(out) + "\n")
    print(f"{name}: {', '.join(f'{grid} {len(values)}' for grid, values in grids.items())}")


if __name__ == "__main__":
    for each in sys.argv[1:] or ("gpt2-odd", "llama-gqa", "toy-ln"):
        make(each)
