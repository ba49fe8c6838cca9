"""What PyTorch's autograd gives for a metric of every fixture: python make_gradients.py [NAME …], with both requirements.txt and requirements-toys.txt.

fixtures/gradients/<fixture>.safetensors: the gradient of log p(token) at the last position of prompt 1, at every hook, in float64 stored as float32; <fixture>.json:
the token, the metric, and hooks whose gradients are others' to the bit (the stream's at one place and the next). Of two fixtures also
`edit/<case>`: the gradient at hook_embed of each edited run of cases.json, which passes through every edit.

The pass that is differentiated is reference_model.py's, which make.py and make_toys.py assert equals transformers' and TransformerLens's at every hook. Here it is
asserted once more that transformers' own modules give the same gradients, wherever a module has the hook.
"""

import json
import sys
from pathlib import Path

sys.dont_write_bytecode = True

import torch
from safetensors.torch import save_file

import capture
import edits
import reference_model
from families import place, reference_of
from measure import close

torch.set_num_threads(1)
ROOT = Path(__file__).parent / "fixtures"
WITH_EDITS = ("gpt2-odd", "gemma2-caps")
PROMPT = 1
# What engines in float32 are held to (every/gradients.ts); the same pass in float32 must be within it.
FAIR = 5e-5
FLOOR = 1e-2


def error(hook: str, actual: torch.Tensor, expected: torch.Tensor) -> float:
    """The worst error of any row, of its largest value or a hundredth of the hook's; at hook_scale a column is a row."""
    if hook.endswith("hook_scale"):
        actual, expected = actual.T, expected.T
    scale = expected.abs().amax(-1).clamp(min=FLOOR * expected.abs().max().item())
    return ((actual.double() - expected).abs().amax(-1) / scale).max().nan_to_num().item()


def backward(reference, metric, run):
    """`run` gives logits from a hook function; → the metric and the gradient at every hook it met, after whatever edits it."""
    seen: dict[str, torch.Tensor] = {}

    def hook(name: str, x: torch.Tensor) -> torch.Tensor:
        # A tensor of its own: the same values may lie at two hooks.
        x = x.requires_grad_() if x.is_leaf else x.clone()
        x.retain_grad()
        seen[name] = x
        return x

    value = metric(run(hook))
    value.backward()
    return value.item(), {name: torch.zeros_like(x) if x.grad is None else x.grad for name, x in seen.items()}


def of_modules(model, ids: list[int], names: list[str], metric) -> dict[str, torch.Tensor]:
    """Gradients at the hooks that transformers' modules have."""
    taken, handles = {}, []

    def keep(name, module, side):
        def see(value):
            x = value[0] if isinstance(value, tuple) else value
            x.requires_grad_()
            x.retain_grad()
            taken[name] = x

        if side == "in":
            handles.append(module.register_forward_pre_hook(lambda _m, args: see(args)))
        else:
            handles.append(module.register_forward_hook(lambda _m, _args, out: see(out)))

    for name in names:
        found = place(model, name)
        if found:
            keep(name, found[0], found[1])
    try:
        with capture.float64(model):
            metric(model(torch.tensor([ids])).logits[0]).backward()
    finally:
        for handle in handles:
            handle.remove()
    return {name: x.grad[0] for name, x in taken.items() if x.grad is not None}


def make(name: str, reference, cases: dict, model=None) -> None:
    ids = cases["prompts"][PROMPT]["ids"]
    token = cases["prompts"][PROMPT]["argmax"][-1]
    metric = lambda logits: logits[-1].log_softmax(-1)[token]
    value, found = backward(reference, metric, lambda hook: reference_model.run(reference.spec, reference.weights, ids, hook))
    if model is not None:
        own = of_modules(model, ids, list(found), metric)
        assert own, name
        for hook, gradient in own.items():
            close(gradient.reshape(found[hook].shape), found[hook], hook)
    single = reference.float()
    _, rounded = backward(single, metric, lambda hook: reference_model.run(single.spec, single.weights, ids, hook))
    far, where = max((error(hook, rounded[hook], found[hook]), hook) for hook in found)
    assert far < FAIR, (name, where, far)
    tensors: dict[str, torch.Tensor] = {}
    same: dict[str, str] = {}
    for hook, gradient in found.items():
        assert torch.isfinite(gradient).all(), hook
        stored = gradient.float().contiguous()
        twin = next((other for other, each in tensors.items() if each.shape == stored.shape and torch.equal(each, stored)), None)
        if twin:
            same[hook] = twin
        else:
            tensors[hook] = stored
    record = {"prompt": PROMPT, "token": token, "value": value, "same": same, "edits": {}}
    if name in WITH_EDITS:
        prompts = [prompt["ids"] for prompt in cases["prompts"]]
        for case in cases["edits"]:
            target = cases["prompts"][case["prompt"]]["argmax"][-1]
            of = {}

            def forward(ids, edit):
                def run(hook):
                    # The gradient is taken after a hook's edits.
                    both = lambda at, x: hook(at, edit(at, x)) if at == "hook_embed" else edit(at, x)
                    return reference_model.run(reference.spec, reference.weights, ids, both)

                of["value"], of["found"] = backward(reference, lambda logits: logits[-1].log_softmax(-1)[target], run)
                return torch.empty(0)

            edits.run(reference, case, prompts, set(cases["special"]), forward)
            tensors[f"edit/{case['name']}"] = of["found"]["hook_embed"].float().contiguous()
            record["edits"][case["name"]] = {"token": target, "value": of["value"]}
    folder = ROOT / "gradients"
    folder.mkdir(exist_ok=True)
    save_file(tensors, folder / f"{name}.safetensors")
    (folder / f"{name}.json").write_text(json.dumps(record) + "\n")
    print(f"{name}: {len(found)} hooks, {len(tensors)} tensors, {(folder / f'{name}.safetensors').stat().st_size / 1000:.0f} kB, float32 within {far:.1e} ({where})")


def main(wanted: list[str]) -> None:
    import make as hf
    import make_toys
    from transformer_lens import HookedTransformer, HookedTransformerConfig

    for fixture in hf.FIXTURES:
        if not wanted or fixture.name in wanted:
            folder = ROOT / fixture.name
            model = hf.load(fixture, folder)
            reference = reference_of(model)
            for weight in reference.weights.values():
                weight.requires_grad_(False)
            make(fixture.name, reference, json.loads((folder / "cases.json").read_text()), model)
    for toy in make_toys.TOYS:
        if not wanted or toy.name in wanted:
            cases = json.loads((ROOT / toy.name / "cases.json").read_text())
            model = HookedTransformer(HookedTransformerConfig(**toy.config, dtype=torch.float64, device="cpu"))
            make(toy.name, make_toys.reference_of(model.cfg, make_toys.draw(toy, model, cases["bos"])), cases)


if __name__ == "__main__":
    main(sys.argv[1:])
