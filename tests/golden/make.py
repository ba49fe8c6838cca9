"""Makes the golden fixtures of Hugging Face's families: python make.py [--seeds] [name …]. See README.md beside this file."""

import sys
from dataclasses import replace
from pathlib import Path

import torch
from transformers import AutoTokenizer

sys.dont_write_bytecode = True

import capture
import golden
import hf_edits
import rope_json
from catalogue import FIXTURES, Fixture
from families import place, reference_of
from folder import CORPUS, write_folder

ROOT = Path(__file__).parent / "fixtures"


def choose_prompts(lengths, bos: int, adds_bos: bool, tokenizer, own) -> list[dict]:
    """Texts of the wanted lengths, cut from the corpus, that encode to their ids and decode to themselves; `own` is the
    folder's tokenizer as transformers reads it: Llama's adds the BOS, GPT-2's leaves it to the caller."""
    starts = ["", "the lens is small", "she moves it slowly to the left and the letters swim past", "one more turn of the ring"]
    flat = CORPUS.replace("\n", " ")
    prompts = []
    for start, length in zip(starts, lengths, strict=True):
        at = flat.index(start)
        text = tokenizer.decode(tokenizer.encode(flat[at:], add_special_tokens=False).ids[: length - 1])
        ids = [bos, *tokenizer.encode(text, add_special_tokens=False).ids]
        assert len(ids) == length, (text, len(ids), length)
        own_ids = list(own(text).input_ids)
        assert ids == (own_ids if adds_bos else [bos, *own_ids]), text
        prompts.append({"text": text, "ids": ids})
    return prompts


def load(fixture: Fixture, folder: Path) -> torch.nn.Module:
    """The folder's model in float64, which is what the catalogue meant: its config went through config.json."""
    model = capture.read_language_model(fixture.model, folder) if fixture.multimodal else capture.read(fixture.model, folder)
    # Phi-3's old configs name the kind of rope a second time.
    getattr(model.config, "rope_parameters", {}).pop("type", None)
    for name in ("rope_parameters", "layer_types", "attention_layers", "sliding_window", "window_size"):
        assert getattr(model.config, name, None) == getattr(fixture.config, name, None), (fixture.name, name)
    return capture.exact(model)


def edited(model: torch.nn.Module):
    def run(ids: list[int], hook, names: list[str]) -> torch.Tensor | None:
        return hf_edits.forward(model, ids, hook, names) if all(place(model, name) for name in names) else None

    return run


def make(fixture: Fixture) -> None:
    folder = ROOT / fixture.name
    tokenizer = write_folder(fixture, folder)
    model = load(fixture, folder)
    subject = golden.Subject(
        name=fixture.name,
        family=fixture.config.model_type,
        stored=fixture.stored,
        seed=fixture.seed,
        bos=fixture.config.bos_token_id,
        eos=[fixture.config.eos_token_id],
        special=sorted(fixture.words.special.values()),
        pieces=fixture.pieces,
        bites=fixture.bites,
        reference=reference_of(model),
        activations=lambda ids: capture.activations(model, ids),
        logits=lambda ids: capture.logits_of(model, ids),
        edited=edited(model),
        decode=tokenizer.decode,
    )
    own = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    prompts = choose_prompts(fixture.lengths, subject.bos, fixture.words.adds_bos, tokenizer, own)
    golden.write(subject, prompts, folder)


def search(fixture: Fixture) -> None:
    """Makes the fixture with the first seed, from its own on, whose weights test enough."""
    for seed in range(fixture.seed, fixture.seed + 100):
        try:
            make(replace(fixture, seed=seed))
        except golden.Unlucky as why:
            print(f"seed {seed}: {why}")
        else:
            print(f"seed {seed} it is: write it into the catalogue")
            return
    raise SystemExit(f"{fixture.name}: none of 100 seeds; the fixture is at fault, not the seeds")


if __name__ == "__main__":
    wanted = [each for each in sys.argv[1:] if each != "--seeds"]
    unknown = set(wanted) - {each.name for each in FIXTURES} - {"rope"}
    if unknown:
        raise SystemExit(f"not in the catalogue: {', '.join(sorted(unknown))}")
    for each in FIXTURES:
        if not wanted or each.name in wanted:
            (search if "--seeds" in sys.argv else make)(each)
    if not wanted or "rope" in wanted:
        rope_json.write(ROOT / "rope.json")
