"""Checks a model against its explicit reference, and writes golden.safetensors and cases.json beside it.

Reference values are computed in float64 and stored as float32. Rounding to float32 moves a value by at most 6e-8 of
itself, a thousandth of the tolerance that an engine in float32 is held to.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file

import edits
import reference_model
from bites import LEAST, difference
from measure import close, row_error
from reference_model import Reference

# One thread: sums are taken in one order, so that one machine gives one file.
torch.set_num_threads(1)

GREEDY_TOKENS = 12
# A greedy continuation is a fair test only where the first two logits are further apart than any engine's error:
# 2e-3 of the logits' range is forty times the tolerance.
LEAST_MARGIN = 2e-3
# An edit whose result differs less than this (of the row's largest logit) from the unedited run would test nothing.
LEAST_EFFECT = 1e-3
# The same forward pass in float32 must stay this near to the float64 one in every row: then the project's tolerance of
# 5e-5 a row is one that an engine in float32 can meet, with room, and no row of the reference is a near-zero remainder.
FAIR = 1e-5


class Unlucky(Exception):
    """The weights of this seed would test little; another's may do. Nothing is wrong with the code."""


def lucky(condition: bool, *why) -> None:
    if not condition:
        raise Unlucky(*why)


@dataclass(frozen=True)
class Subject:
    """A model to be made golden: what it is called, its own code, and the reference that its own code must equal."""

    name: str
    family: str
    stored: torch.dtype
    seed: int
    bos: int
    eos: list[int]
    special: list[int]
    # Tokens that have a text (or, without a tokenizer, that there are).
    pieces: int
    bites: tuple[str, ...]
    reference: Reference
    activations: Callable[[list[int]], dict[str, torch.Tensor]]
    logits: Callable[[list[int]], torch.Tensor]
    # Logits of the model's own code with a hook at the names given; None where it has no such place.
    edited: Callable[..., torch.Tensor | None]
    decode: Callable[[list[int]], str]


def greedy(subject: Subject, prompts: list[dict]) -> list[dict]:
    out = []
    for prompt in (0, 1, 3):
        ids = list(prompts[prompt]["ids"])
        margins = []
        for _ in range(GREEDY_TOKENS):
            last = subject.logits(ids)[-1]
            top = last.topk(2).values
            margins.append(((top[0] - top[1]) / (last.max() - last.min())).item())
            ids.append(int(last.argmax()))
        new = ids[-GREEDY_TOKENS:]
        lucky(min(margins) > LEAST_MARGIN, subject.name, "a close call in greedy text", prompt, min(margins))
        lucky(not set(subject.eos) & set(new), subject.name, "greedy text ends", prompt, new)
        lucky(max(new) < subject.pieces, subject.name, "greedy text leaves the tokenizer", prompt, new)
        lucky(len(set(new)) > 3, subject.name, "greedy text says little", prompt, new)
        out.append({"prompt": prompt, "ids": new, "text": subject.decode(new), "margin": min(margins)})
    return out


def check_bites(subject: Subject, prompts: list[dict]) -> None:
    """Each thing that the fixture is there to catch must show: without it, some row of some prompt's logits is another."""
    for name in subject.bites:
        most = max(difference(name, subject.reference, prompt["ids"]) for prompt in prompts)
        lucky(most > LEAST[name], subject.name, "a mistake does not show", name, most)


def edited_runs(subject: Subject, prompts: list[list[int]], golden: dict) -> list[dict]:
    reference, special = subject.reference, set(subject.special)
    single = reference.float()

    def forward(of):
        return lambda ids, hook: reference_model.forward(of, ids, hook)

    cases = edits.cases(reference, prompts, subject.seed)
    for case in cases:
        logits = edits.run(reference, case, prompts, special, forward(reference))
        clean = golden[f"{case['prompt']}/logits"]
        assert torch.isfinite(logits).all(), case["name"]
        effect = ((logits - clean).abs().amax(-1) / clean.abs().amax(-1)).max().item()
        lucky(effect > LEAST_EFFECT, subject.name, "an edit does little", case["name"], effect)
        off = {**case, "edits": [{**edit, "strength": 0} for edit in case["edits"]]}
        close(edits.run(reference, off, prompts, special, forward(reference)), clean, case["name"])
        names = sorted({edit["at"] for edit in case["edits"]})
        own = edits.run(reference, case, prompts, special, lambda ids, hook: subject.edited(ids, hook, names))
        if own is not None:
            close(own, logits, case["name"])
        error = row_error(edits.run(single, case, prompts, special, forward(single)), logits)
        lucky(error < FAIR, subject.name, "float32 strays", case["name"], error)
        golden[f"edit/{case['name']}/logits"] = logits
    return cases


def write(subject: Subject, prompts: list[dict], folder: Path) -> None:
    golden = {}
    worst = 0.0
    for index, prompt in enumerate(prompts):
        taken = subject.activations(prompt["ids"])
        again = reference_model.record(subject.reference, prompt["ids"])
        assert taken.keys() == again.keys(), taken.keys() ^ again.keys()
        for name in taken:
            close(again[name], taken[name], name)
        single = reference_model.record(subject.reference.float(), prompt["ids"])
        worst = max(worst, *(row_error(single[name], taken[name]) for name in taken))
        lucky(worst < FAIR, subject.name, "float32 strays", worst)
        golden |= {f"{index}/{name}": value for name, value in taken.items()}
        log_probs = taken["logits"].log_softmax(-1)
        prompt["nextLogProbs"] = [log_probs[at, token].item() for at, token in enumerate(prompt["ids"][1:])]
        prompt["argmax"] = taken["logits"].argmax(-1).tolist()
    check_bites(subject, prompts)
    continuations = greedy(subject, prompts)
    cases = edited_runs(subject, [prompt["ids"] for prompt in prompts], golden)
    save_file({name: value.to(torch.float32).contiguous() for name, value in golden.items()}, folder / "golden.safetensors")
    record = {
        "name": subject.name,
        "family": subject.family,
        "stored": {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}[subject.stored],
        "bos": subject.bos,
        "eos": subject.eos,
        "special": subject.special,
        "files": sorted(file.name for file in folder.iterdir() if file.name not in ("cases.json", "golden.safetensors")),
        "prompts": prompts,
        "greedy": continuations,
        "edits": cases,
    }
    (folder / "cases.json").write_text(json.dumps(record, ensure_ascii=False) + "\n")
    for file in folder.iterdir():
        file.chmod(0o644)
    size = sum(file.stat().st_size for file in folder.iterdir())
    least = min(each["margin"] for each in continuations)
    print(
        f"{subject.name}: {len(golden)} tensors, {len(cases)} edited runs, {size / 1e6:.2f} MB, "
        f"least greedy margin {least:.1e}, float32 within {worst:.1e}"
    )
