"""What PyTorch's autograd gives where dictionaries edit the run: python make_dictionary_gradients.py, in make_gradients.py's environment.

fixtures/gradients/dictionaries.json: for each case a small random dictionary (as tests/support/random-dictionary.ts draws it, number for number), the edits in force, the
token whose log-probability at the last position is differentiated, and the metric; dictionaries.safetensors: `<case>/<hook>`, the gradient at the hooks that the
case names, after their edits, in float64 stored as float32. The run is reference_model.py's, the dictionary canonical.py's arithmetic, so that activations,
thresholds and top-k are differentiated by PyTorch alone. Where a number would stand too near a decision the next seed is taken.
"""

import json
import sys
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).parent / "dictionaries"))

import canonical
import make as hf
import numpy as np
import reference_model
import torch
from families import reference_of
from safetensors.torch import save_file

torch.set_num_threads(1)
ROOT = Path(__file__).parent / "fixtures"
FIXTURE = "gpt2-odd"
PROMPT = 1
# How near to a decision a pre-activation may come, over its row's largest.
MARGIN = 1e-4


def noise(count: int, seed: int) -> np.ndarray:
    """tests/support/numbers.ts: noise(i, seed) for i < count."""
    mask = np.uint64(0xFFFFFFFF)
    word = lambda n: np.uint64(n & 0xFFFFFFFF)
    x = ((np.arange(count, dtype=np.uint64) * word(0x9E3779B1)) & mask) ^ word((seed + 1) * 0x85EBCA6B)
    x = ((x ^ (x >> np.uint64(16))) * word(0x7FEB352D)) & mask
    x = ((x ^ (x >> np.uint64(15))) * word(0x846CA68B)) & mask
    x = x ^ (x >> np.uint64(16))
    return (x >> np.uint64(8)).astype(np.float64) / 2**23 - 1


def numbers(count: int, seed: int, scale: float) -> np.ndarray:
    return (scale * noise(count, seed)).astype(np.float32)


VECTORS = {"relu": ["b_enc"], "topk": ["b_enc"], "jumprelu": ["b_enc", "threshold"], "gated": ["b_gate", "b_mag", "r_mag"]}


def draw(wanted: dict) -> dict[str, torch.Tensor]:
    """tests/support/random-dictionary.ts: randomDictionary."""
    d_in, d_out, latents = wanted["dIn"], wanted.get("dOut", wanted["dIn"]), wanted["latents"]
    shapes = {"W_enc": (latents, d_in), "W_dec": (latents, d_out), "b_dec": (d_out,), "W_skip": (d_out, d_in)}
    names = ["W_enc", "W_dec", "b_dec", *VECTORS[wanted["activation"]], *(["W_skip"] if wanted.get("skip") else [])]
    out = {}
    for i, name in enumerate(names):
        shape = shapes.get(name, (latents,))
        count, seed = int(np.prod(shape)), 100 * wanted["seed"] + i
        if name.startswith("W_"):
            values = numbers(count, seed, 1.5 / np.sqrt(d_in))
        else:
            values = numbers(count, seed, 0.4).astype(np.float64)
            if name == "threshold":
                values = np.abs(values) + 0.2
            elif name in ("b_enc", "b_gate"):
                values = values - 0.3
            values = values.astype(np.float32)
        out[name] = torch.from_numpy(values.reshape(shape)).double()
    return out


def spec_of(wanted: dict) -> canonical.Spec:
    across = wanted.get("hookOut", wanted["hookIn"]) != wanted["hookIn"]
    given = wanted.get("contract", {})
    contract = canonical.Contract(
        residual=given.get("residual", "raw"),
        normalisation=given.get("normalisation", "none"),
        scale=given.get("scale", 1.0),
        subtract_b_dec=not across,
        rescale=given.get("rescaleByDecoderNorm", False),
        norm_gain=given.get("normGain", False),
    )
    return canonical.Spec(wanted["activation"], wanted["hookIn"], wanted.get("hookOut"), wanted.get("k"), contract)


def centred(spec: canonical.Spec, x: torch.Tensor) -> torch.Tensor:
    return x.mean(-1, keepdim=True) if spec.contract.residual == "centred" else torch.zeros_like(x[..., :1])


def through(spec: canonical.Spec, w: dict, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(activations, reconstruction), the mean taken off and put back for a dictionary of a centred stream."""
    mean = centred(spec, x)
    acts, out = canonical.run(spec, w, x - mean)
    return acts, out + mean


def edited_activations(edits: list[dict], acts: torch.Tensor) -> torch.Tensor:
    for edit in edits:
        i, value, strength = edit["latent"], edit["value"], edit.get("strength", 1)
        now = acts[:, i]
        then = {"set": torch.full_like(now, value), "add": now + value, "scale": now * value}[edit["op"]]
        rows = torch.zeros(len(acts), 1, dtype=torch.bool)
        rows[list(range(len(acts))) if edit.get("where", "all") == "all" else edit["where"]] = True
        column = torch.zeros_like(acts)
        column[:, i] = 1
        acts = acts + torch.where(rows, column * (strength * (then - now))[:, None], torch.zeros_like(acts))
    return acts


def added(spec: canonical.Spec, w: dict, x: torch.Tensor, edits: list[dict]) -> torch.Tensor:
    """What `latent` edits add where the dictionary writes."""
    acts, _ = through(spec, w, x)
    change = edited_activations(edits, acts) - acts
    by = w["W_dec"].norm(dim=-1) if spec.contract.rescale else 1
    inside = x - centred(spec, x)
    multiplier = canonical.scale_of(spec, inside)[2]
    if spec.contract.normalisation == "layer_norm" and spec.out != spec.hook_in:
        multiplier = 1.0
    return (change / by) @ w["W_dec"] * multiplier


def apply(hook_at: str, x: torch.Tensor, case: dict, spec: canonical.Spec, w: dict, read: torch.Tensor) -> torch.Tensor:
    """A hook's edits in list order. `read`: what a transcoder read earlier on; a dictionary reads what stands there when its turn comes."""
    across = spec.out != spec.hook_in
    for group in case["edits"]:
        if group["at"] != hook_at:
            continue
        flat = x.reshape(len(x), -1)
        source = read if across else flat
        if group["kind"] == "latents":
            y = flat + added(spec, w, source, group["edits"])
        elif group["kind"] == "splice":
            _, out = through(spec, w, source)
            y = flat + group["strength"] * (out - flat)
        else:
            unit = torch.tensor(group["vector"], dtype=torch.float64)
            unit = unit / unit.norm()
            y = flat - (1 - group["keep"]) * (flat @ unit)[:, None] * unit
        x = y.reshape(x.shape)
    return x


def gains(reference, hook: str, x: torch.Tensor) -> torch.Tensor:
    """What leaves the norm whose hook_normalized this is."""
    layer = hook.split(".")[1]
    return x * reference.weights[f"{layer}.ln2.weight"] + reference.weights[f"{layer}.ln2.bias"]


def make(reference, cases: dict, case: dict) -> dict[str, torch.Tensor] | None:
    wanted = case["dictionary"]
    spec, w = spec_of(wanted), draw(wanted)
    ids = cases["prompts"][PROMPT]["ids"]
    token = cases["prompts"][PROMPT]["argmax"][-1]
    seen: dict[str, torch.Tensor] = {}
    read: list[torch.Tensor] = []
    margins: list[float] = []
    active: list[int] = []

    def look(x: torch.Tensor) -> None:
        inside = x.detach() - centred(spec, x.detach())
        margins.append(canonical.margin(spec, w, inside))
        active.append(int((canonical.run(spec, w, inside)[0] > 0).sum()))

    def hook(name: str, x: torch.Tensor) -> torch.Tensor:
        if name == wanted.get("hookOut", wanted["hookIn"]):
            if not read:
                look(x.reshape(len(x), -1))
            x = apply(name, x, case, spec, w, read[0] if read else x)
        x = x.requires_grad_() if x.is_leaf else x.clone()
        x.retain_grad()
        seen[name] = x
        if "hookOut" in wanted and name == wanted["hookIn"]:
            source = x.reshape(len(x), -1)
            read.append(gains(reference, name, source) if spec.contract.norm_gain else source)
            look(read[0])
        return x

    logits = reference_model.run(reference.spec, reference.weights, ids, hook)
    value = logits[-1].log_softmax(-1)[token]
    value.backward()
    if min(margins) < MARGIN or not 0 < min(active) < len(ids) * wanted["latents"]:
        return None
    edited = [edit["latent"] for group in case["edits"] if group["kind"] == "latents" for edit in group["edits"]]
    case.update(token=token, value=value.item(), active=active[0])
    return {hook: seen[hook].grad.float().contiguous() for hook in case["at"]}


# Widths of the fixture: d_model 30, 3 heads of 10, MLP 70, three layers.
MIX = [
    {"latent": 3, "op": "set", "value": 0.8},
    {"latent": 7, "op": "scale", "value": -1.5, "strength": 0.7},
    {"latent": 3, "op": "add", "value": 0.4, "strength": 0.5, "where": [2, 4, 6]},
    {"latent": 11, "op": "scale", "value": 2.5},
    {"latent": 7, "op": "set", "value": 0.3, "strength": 0.25, "where": [1, 2, 3]},
    *({"latent": i, "op": "scale", "value": 0} for i in range(12, 24)),
]
PRE, MID, POST = "blocks.1.hook_resid_pre", "blocks.1.hook_resid_mid", "blocks.1.hook_resid_post"
latents = lambda at, edits=MIX: {"kind": "latents", "at": at, "edits": edits}
splice = lambda at, strength: {"kind": "splice", "at": at, "strength": strength}
project = lambda at: {"kind": "project", "at": at, "keep": 0.4, "vector": [float(x) for x in numbers(30, 77, 1)]}


def cases_of() -> list[dict]:
    own = lambda hook, activation, **more: {"activation": activation, "dIn": 30, "latents": 41, "hookIn": hook, **more}
    across = {"hookIn": "blocks.1.ln2.hook_normalized", "hookOut": "blocks.1.hook_mlp_out"}
    layer = {"normalisation": "layer_norm"}
    return [
        {"name": "relu", "dictionary": own(PRE, "relu"), "edits": [project(PRE), latents(PRE), splice(PRE, 0.6)], "at": ["hook_embed", PRE]},
        {"name": "layer_norm", "dictionary": own(POST, "relu", contract=layer), "edits": [latents(POST), splice(POST, 0.6)], "at": ["hook_embed"]},
        {"name": "jumprelu, scaled", "dictionary": own("blocks.0.hook_mlp_out", "jumprelu", contract={"normalisation": "scale", "scale": 1.7}), "edits": [latents("blocks.0.hook_mlp_out"), splice("blocks.0.hook_mlp_out", 1)], "at": ["hook_embed"]},
        {"name": "topk, rescaled", "dictionary": own(POST, "topk", k=9, contract={"rescaleByDecoderNorm": True}), "edits": [splice(POST, 0.5), project(POST), latents(POST)], "at": ["hook_embed"]},
        {"name": "gated, of z", "dictionary": own("blocks.1.attn.hook_z", "gated", contract={"reshape": "hook_z"}), "edits": [latents("blocks.1.attn.hook_z"), splice("blocks.1.attn.hook_z", 0.6)], "at": ["hook_embed"]},
        {"name": "centred", "dictionary": own(MID, "relu", contract={"residual": "centred"}), "edits": [latents(MID), splice(MID, 0.6)], "at": ["hook_embed"]},
        {"name": "skip transcoder", "dictionary": {**own("", "relu"), **across, "skip": True, "contract": {"normGain": True}}, "edits": [latents(across["hookOut"]), splice(across["hookOut"], 0.6)], "at": ["hook_embed", across["hookIn"]]},
        {"name": "transcoder, layer_norm", "dictionary": {**own("", "jumprelu"), "hookIn": MID, "hookOut": across["hookOut"], "contract": layer}, "edits": [splice(across["hookOut"], 0.3), latents(across["hookOut"])], "at": ["hook_embed", MID]},
    ]


def main() -> None:
    folder = ROOT / FIXTURE
    fixture = next(each for each in hf.FIXTURES if each.name == FIXTURE)
    reference = reference_of(hf.load(fixture, folder))
    for weight in reference.weights.values():
        weight.requires_grad_(False)
    cases = json.loads((folder / "cases.json").read_text())
    tensors: dict[str, torch.Tensor] = {}
    out = []
    for first, case in enumerate(cases_of()):
        for seed in range(20 * first + 1, 20 * first + 21):
            case["dictionary"]["seed"] = seed
            found = make(reference, cases, case)
            if found:
                break
        assert found, case["name"]
        tensors |= {f"{case['name']}/{hook}": gradient for hook, gradient in found.items()}
        out.append(case)
        print(f"{case['name']}: seed {case['dictionary']['seed']}, {case['active']} active, log p {case['value']:.3f}")
    save_file(tensors, ROOT / "gradients" / "dictionaries.safetensors")
    (ROOT / "gradients" / "dictionaries.json").write_text(json.dumps({"fixture": FIXTURE, "prompt": PROMPT, "cases": out}) + "\n")


if __name__ == "__main__":
    main()
