"""What an edit does, in the words of the contract: x becomes x + strength·(f(x) − x) at the rows it covers.

A row is one position's values at a hook, flattened unless `head` picks one head of them; at scores and patterns a row
is one query's values of one head, over the keys it can see (key ≤ query, and inside the layer's window where it has one;
a vector's entry i is for key i). Edits at one hook apply in list order. Written row by row, slowly, so that it can be checked
by reading. The cases are plain data and go into cases.json as they are.
"""

import numpy as np
import torch

import reference_model
from reference_model import Reference


def is_over_keys(at: str) -> bool:
    return at.endswith(("hook_attn_scores", "hook_pattern"))


def by_row(at: str, x: torch.Tensor) -> torch.Tensor:
    """Position first: scores and pattern are [head, query, key]."""
    return x.transpose(0, 1) if is_over_keys(at) else x


def keys_seen(reference: Reference, at: str, query: int) -> slice:
    window = reference.spec.windows[int(at.split(".")[1])]
    return slice(0 if window is None else max(0, query - window + 1), query + 1)


def positions(edit: dict, ids: list[int], prompt_length: int, special: set[int]) -> list[int]:
    where = edit.get("where", "all")
    listed = {
        "all": range(len(ids)),
        "prompt": range(prompt_length),
        "generated": range(prompt_length, len(ids)),
    }
    rows = list(listed[where]) if isinstance(where, str) else [row % len(ids) for row in where]
    return [row for row in rows if not (edit.get("skipSpecial") and ids[row] in special)]


def edited(edit: dict, x: torch.Tensor, row: int, part: slice, source) -> torch.Tensor:
    """f(x) for one row's vector, of which x is `part`."""
    kind = edit["kind"]
    if kind == "replace":
        return torch.zeros_like(x) if edit["value"] == "zero" else source(row)[part]
    v = torch.tensor(edit["vector"], dtype=x.dtype)[part]
    if kind == "add":
        return x + edit["scale"] * v
    unit = v / v.norm()
    along = x @ unit
    if kind == "project":
        return x + (edit["keep"] - 1) * along * unit
    assert kind == "cap"
    return x - torch.clamp(along - edit["cap"], min=0) * unit


def run(reference: Reference, case: dict, prompts: list[list[int]], special: set[int], forward) -> torch.Tensor:
    """Logits of a case. `forward(ids, hook)` is the model that is edited; what an edit reads elsewhere is the reference's."""
    ids = prompts[case["prompt"]]
    prompt_length = case.get("promptLength", len(ids))
    recorded: dict[int, dict[str, torch.Tensor]] = {}

    def unedited(prompt: int, at: str) -> torch.Tensor:
        if prompt not in recorded:
            recorded[prompt] = reference_model.record(reference, prompts[prompt])
        return by_row(at, recorded[prompt][at])

    def source_of(edit: dict):
        """row → the vector that replaces it."""
        value, at = edit["value"], edit["at"]

        def part(rows: torch.Tensor) -> torch.Tensor:
            return rows[:, edit["head"]] if "head" in edit else rows.flatten(1)

        if "mean" in value:
            texts = [part(unedited(prompt, at)) for prompt in value["mean"]]
            if value["over"] == "all":
                mean = torch.cat(texts).mean(0)
                return lambda row: mean
            return lambda row: torch.stack([text[row] for text in texts]).mean(0)
        other = part(unedited(value["prompt"], at))
        if "from" in value:
            chosen = dict(zip(edit["where"], value["from"], strict=True))
            return lambda row: other[chosen[row]]
        assert len(other) == len(ids)
        return lambda row: other[row]

    def hook(name: str, x: torch.Tensor) -> torch.Tensor:
        mine = [edit for edit in case["edits"] if edit["at"] == name]
        if not mine:
            return x
        out = x.clone()
        rows = by_row(name, out)
        for edit in mine:
            source = source_of(edit) if isinstance(edit.get("value"), dict) else None
            for row in positions(edit, ids, prompt_length, special):
                whole = rows[row][edit["head"]] if "head" in edit else rows[row]
                part = keys_seen(reference, name, row) if is_over_keys(name) else slice(None)
                view = whole[part]
                flat = view.flatten()
                result = edited(edit, flat, row, part, source)
                view.copy_((flat + edit.get("strength", 1) * (result - flat)).reshape(view.shape))
        return out

    return forward(ids, hook)


def cases(reference: Reference, prompts: list[list[int]], seed: int) -> list[dict]:
    """The edited runs of one fixture. Prompt 1 and 3 have one length, 0 is a single token, 2 is the long one.

    One list for every family: where a model has no such hook, a case takes the next it has, and is named after it.
    """
    seen = {prompt: reference_model.record(reference, ids) for prompt, ids in enumerate(prompts)}
    rng = np.random.Generator(np.random.Philox(seed + 1000))

    def vector(count: int) -> list[float]:
        """Multiples of 1/64, so that JSON, f32 and float64 hold the same numbers."""
        return (np.round(rng.standard_normal(count) * 64) / 64).tolist()

    def width(at: str, head: bool = False) -> int:
        return by_row(at, seen[1][at])[0][0].numel() if head else seen[1][at][0].numel()

    def add(at: str, scale: float, **more) -> dict:
        return {"at": at, "kind": "add", "vector": vector(width(at, "head" in more)), "scale": scale, **more}

    def project(at: str, keep: float, **more) -> dict:
        return {"at": at, "kind": "project", "vector": vector(width(at, "head" in more)), "keep": keep, **more}

    def cap(at: str, **more) -> dict:
        """Capped midway between two projections of prompt 1, so that it binds at some positions and not at others."""
        v = vector(width(at))
        unit = torch.tensor(v, dtype=torch.float64) / torch.tensor(v, dtype=torch.float64).norm()
        along = (seen[1][at].flatten(1) @ unit).sort().values
        limit = round(float(along[2] + along[3]) / 2 * 256) / 256
        assert along[2] < limit < along[3]
        return {"at": at, "kind": "cap", "vector": v, "cap": limit, **more}

    def replace(at: str, value, **more) -> dict:
        return {"at": at, "kind": "replace", "value": value, **more}

    def case(name: str, *edits: dict, prompt: int = 1, **more) -> dict:
        return {"name": name, "prompt": prompt, **more, "edits": list(edits)}

    def scale(at: str) -> dict:
        return {"at": at, "kind": "add", "vector": [0.3125], "scale": 1}

    def here(*names: str) -> str:
        return next(name for name in names if name in seen[1])

    def short(at: str) -> str:
        """blocks.1.mlp.hook_post → mlp-post."""
        return at.split(".", 2)[2].replace("attn.hook_", "").replace("hook_", "").replace(".", "-").replace("_", "-")

    b0, b1 = "blocks.0", "blocks.1" if "blocks.1.hook_resid_pre" in seen[1] else "blocks.0"
    mlp_post = here(f"{b0}.mlp.hook_post", f"{b0}.attn.hook_z")
    mlp_pre = here(f"{b1}.mlp.hook_pre", f"{b1}.attn.hook_v")
    mlp_out = here(f"{b0}.hook_mlp_out", f"{b0}.hook_attn_out")
    middle = [here(f"{block}.hook_resid_mid", f"{block}.hook_resid_pre") for block in (b0, b1)]
    out = [
        case("add-resid-pre", add(f"{b1}.hook_resid_pre", 2.5)),
        case("add-last-position", add(f"{b0}.hook_resid_post", -3, where=[-1]), prompt=2),
        case("add-single-token", add(f"{b0}.hook_resid_pre", 1.5), prompt=0),
        case("add-skip-special", add("hook_embed", 1, skipSpecial=True)),
        case("add-generated", add(f"{b0}.hook_attn_out", 2, where="generated"), prompt=2, promptLength=5),
        case("project-z-head", project(f"{b1}.attn.hook_z", 0, head=2)),
        case("project-z-row", project(f"{b1}.attn.hook_z", 0.25)),
        case(f"cap-{short(mlp_post)}", cap(mlp_post)),
        case(f"cap-{short(mlp_pre)}", cap(mlp_pre)),
        case("zero-z-head", replace(f"{b0}.attn.hook_z", "zero", head=1)),
        case(f"replace-{short(middle[1])}", replace(middle[1], {"prompt": 3})),
        case("replace-z-head", replace(f"{b0}.attn.hook_z", {"prompt": 3}, head=0, where=[2, 6])),
        case("replace-from", replace(f"{b0}.hook_resid_post", {"prompt": 2, "from": [10, 2]}, where=[3, 5])),
        case("replace-mean-position", replace(mlp_out, {"mean": [1, 3], "over": "position"})),
        case("replace-mean-all", replace(mlp_out, {"mean": [1, 2, 3], "over": "all"})),
        case("two-at-half", add(middle[0], 4, strength=0.5), project(f"{b1}.hook_resid_pre", 0, strength=0.5)),
        case("two-at-one-hook", add(middle[1], 3), cap(middle[1], strength=0.75)),
        case("add-scores", add(f"{b1}.attn.hook_attn_scores", 1, head=0)),
        case("zero-pattern-head", replace(f"{b0}.attn.hook_pattern", "zero", head=0)),
        case("replace-pattern-head", replace(f"{b1}.attn.hook_pattern", {"prompt": 3}, head=1), prompt=1),
    ]
    if "ln_final.hook_scale" in seen[1]:
        out.append(case("add-ln1-scale", scale(f"{b1}.ln1.hook_scale")))
        out.append(case("add-ln-final-scale", scale("ln_final.hook_scale")))
        out.append(case("project-normalized", project(here(f"{b0}.ln2.hook_normalized", f"{b0}.ln1.hook_normalized"), 0)))
    out += [
        case("add-q-head", add(f"{b1}.attn.hook_q", 1, head=1)),
        case("zero-k", replace(f"{b0}.attn.hook_k", "zero", head=0, where=[2])),
        case("add-v", add(f"{b0}.attn.hook_v", 1, where=[1, 3])),
    ]
    if f"{b0}.attn.hook_rot_k" in seen[1]:
        out.append(case("add-rot-k", add(f"{b1}.attn.hook_rot_k", 1, head=0, where=[2, 4])))
    if f"{b0}.mlp.hook_pre_linear" in seen[1]:
        out.append(case("add-pre-linear", add(f"{b0}.mlp.hook_pre_linear", 1)))
    if "hook_pos_embed" in seen[1]:
        out.append(case("add-pos-embed", add("hook_pos_embed", 1, where=[0, 4])))
    if f"{b0}.ln1_post.hook_scale" in seen[1]:
        # After a post-norm nothing before it can be told by its size: what is added must be added after.
        out.append(case("add-ln1-post-scale", scale(f"{b1}.ln1_post.hook_scale")))
        out.append(case("project-ln2-post", project(f"{b0}.ln2_post.hook_normalized", 0)))
        out.append(case("add-attn-out", add(f"{b1}.hook_attn_out", 1.5)))
    return out
