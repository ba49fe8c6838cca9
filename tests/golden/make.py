"""Makes the golden fixtures: python make.py [name …]. See README.md beside this file.

Reference values are computed in float64 and stored as float32. Rounding to float32 moves a value by at most 6e-8 of
itself, a thousandth of the tolerance that an engine in float32 is held to.
"""

import copy
import json
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import AutoTokenizer

sys.dont_write_bytecode = True

import capture
import edits
import hf_edits
import reference_model
from catalogue import FIXTURES, Fixture
from folder import CORPUS, write_folder

ROOT = Path(__file__).parent / "fixtures"
GREEDY_TOKENS = 12
# A greedy continuation is a fair test only where the first two logits are further apart than any engine's error:
# 2e-3 of the logits' range is forty times the tolerance.
LEAST_MARGIN = 2e-3
# An edit whose result differs less than this (of the row's largest logit) from the unedited run would test nothing.
LEAST_EFFECT = 1e-3
# The same forward pass in float32 must stay this near to the float64 one in every row: then the project's tolerance of
# 5e-5 a row is one that an engine in float32 can meet, with room, and no row of the reference is a near-zero remainder.
FAIR = 1e-5


def row_error(actual: torch.Tensor, expected: torch.Tensor) -> float:
    """Largest error of a row over the row's largest reference value, over all rows; masked entries left out."""
    finite = torch.isfinite(expected)
    gap = torch.where(finite, actual.double() - expected, 0).abs().amax(-1)
    return (gap / torch.where(finite, expected, 0).abs().amax(-1)).max().item()


def choose_prompts(fixture: Fixture, tokenizer) -> list[dict]:
    """Texts of the wanted lengths, cut from the corpus, that encode to their ids and decode to themselves."""
    bos = fixture.config.bos_token_id
    own = AutoTokenizer.from_pretrained(ROOT / fixture.name, local_files_only=True)
    starts = ["", "the lens is small", "she moves it slowly to the left and the letters swim past", "one more turn of the ring"]
    flat = CORPUS.replace("\n", " ")
    prompts = []
    for start, length in zip(starts, fixture.lengths, strict=True):
        at = flat.index(start)
        text = tokenizer.decode(tokenizer.encode(flat[at:], add_special_tokens=False).ids[: length - 1])
        ids = [bos, *tokenizer.encode(text, add_special_tokens=False).ids]
        assert len(ids) == length, (text, len(ids), length)
        # The folder's own tokenizer, as transformers reads it: Llama's adds the BOS, GPT-2's leaves it to the caller.
        assert ids in ([*own(text).input_ids], [bos, *own(text).input_ids]), text
        prompts.append({"text": text, "ids": ids})
    return prompts


def greedy(model, fixture: Fixture, tokenizer, prompts: list[dict]) -> list[dict]:
    out = []
    for prompt in (0, 1, 3):
        ids = list(prompts[prompt]["ids"])
        margins = []
        for _ in range(GREEDY_TOKENS):
            last = capture.logits_of(model, ids)[-1]
            top = last.topk(2).values
            margins.append(((top[0] - top[1]) / (last.max() - last.min())).item())
            ids.append(int(last.argmax()))
        new = ids[-GREEDY_TOKENS:]
        assert min(margins) > LEAST_MARGIN, (fixture.name, prompt, min(margins))
        assert fixture.config.eos_token_id not in new, (fixture.name, prompt, new)
        assert max(new) < fixture.pieces, (fixture.name, prompt, new)
        assert len(set(new)) > 3, (fixture.name, prompt, new)
        out.append({"prompt": prompt, "ids": new, "text": tokenizer.decode(new), "margin": min(margins)})
    return out


def edited_runs(model, model32, fixture: Fixture, prompts: list[list[int]], golden: dict) -> list[dict]:
    special = set(fixture.special.values())
    cases = edits.cases(model, prompts, fixture.seed)
    for case in cases:
        logits = edits.run(model, case, prompts, special, reference_model.forward)
        clean = golden[f"{case['prompt']}/logits"]
        assert torch.isfinite(logits).all(), case["name"]
        effect = ((logits - clean).abs().amax(-1) / clean.abs().amax(-1)).max().item()
        assert effect > LEAST_EFFECT, (fixture.name, case["name"], effect)
        off = {**case, "edits": [{**edit, "strength": 0} for edit in case["edits"]]}
        capture.close(edits.run(model, off, prompts, special, reference_model.forward), clean, case["name"])
        names = [edit["at"] for edit in case["edits"]]
        if all(hf_edits.place(model, name) for name in names):
            own = edits.run(model, case, prompts, special, lambda *args: hf_edits.forward(*args, names))
            capture.close(own, logits, case["name"])
        error = row_error(edits.run(model32, case, prompts, special, reference_model.forward), logits)
        assert error < FAIR, (fixture.name, case["name"], error)
        golden[f"edit/{case['name']}/logits"] = logits
    return cases


def make(fixture: Fixture) -> None:
    folder = ROOT / fixture.name
    tokenizer = write_folder(fixture, folder)
    model = capture.load(fixture.model, folder)
    prompts = choose_prompts(fixture, tokenizer)
    golden = {}
    model32 = copy.deepcopy(model).float()
    worst = 0.0
    for index, prompt in enumerate(prompts):
        taken = capture.activations(model, prompt["ids"])
        again = reference_model.record(model, prompt["ids"])
        assert taken.keys() == again.keys(), taken.keys() ^ again.keys()
        for name in taken:
            capture.close(again[name], taken[name], name)
        single = reference_model.record(model32, prompt["ids"])
        worst = max(worst, *(row_error(single[name], taken[name]) for name in taken))
        assert worst < FAIR, (fixture.name, worst)
        golden |= {f"{index}/{name}": value for name, value in taken.items()}
        log_probs = taken["logits"].log_softmax(-1)
        prompt["nextLogProbs"] = [log_probs[at, token].item() for at, token in enumerate(prompt["ids"][1:])]
        prompt["argmax"] = taken["logits"].argmax(-1).tolist()
    continuations = greedy(model, fixture, tokenizer, prompts)
    cases = edited_runs(model, model32, fixture, [prompt["ids"] for prompt in prompts], golden)
    save_file({name: value.to(torch.float32).contiguous() for name, value in golden.items()}, folder / "golden.safetensors")
    record = {
        "name": fixture.name,
        "family": fixture.config.model_type,
        "stored": {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}[fixture.stored],
        "bos": fixture.config.bos_token_id,
        "eos": [fixture.config.eos_token_id],
        "special": sorted(fixture.special.values()),
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
        f"{fixture.name}: {len(golden)} tensors, {len(cases)} edited runs, {size / 1e6:.2f} MB, "
        f"least greedy margin {least:.1e}, float32 within {worst:.1e}"
    )


if __name__ == "__main__":
    wanted = sys.argv[1:]
    for each in FIXTURES:
        if not wanted or each.name in wanted:
            make(each)
