"""Which latent knows what: the ground truth of every token against the shipped dictionaries, on held-out text.

    node tools/world/run.mjs stream --count 6000 --seed 7     # build/world/stream: tokens with their labels
    python tools/world/latents.py                             # labels.json beside each dictionary, build/world/latents.json with everything

Half of the documents (the even ones) choose a label's latent and its threshold, the other half scores them. A label is asked where it has at least
50 positives in each half. Beside every contextual label stand the best single token (a detector that knows nothing but which token it
is) and a linear probe of the same residual, chosen and scored in the same way. What is below the bar stays out of labels.json.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from activations import END_ID, layer_of, residuals, shipped
from data import Reading, held_out, tensors
from model import Model
from saelens import Shipped, read
from tokens import Corpus

SOURCE = "Lanternwick’s ground truth"
LEAST, ENTITY, CONTEXTUAL, MARGIN = 50, 0.8, 0.8, 0.1
CANDIDATES = 8


@dataclass
class Stream:
    """Positions without end-of-text tokens: ids [n], truth [n, labels], chooses [n] (the half that chooses), residual by layer [n, width]."""

    ids: Tensor
    truth: Tensor
    chooses: Tensor
    residual: dict[int, Tensor]
    labels: list[str]


@torch.no_grad()
def load(folder: Path, model: Model, layers: list[int]) -> Stream:
    told = json.loads((folder / "stream.json").read_text())
    ids = np.fromfile(folder / "tokens.u16", np.uint16)
    starts = np.fromfile(folder / "documents.u32", np.uint32)
    offsets = np.fromfile(folder / "offsets.u32", np.uint32)
    listed = np.fromfile(folder / "labels.u16", np.uint16)
    assert len(offsets) == len(ids) + 1
    ends = np.append(starts[1:], len(ids))
    # The documents alone, for data.py to read; end-of-text tokens have no labels.
    plain = np.ones(len(ids), bool)
    plain[starts] = False
    lengths = ends - starts - 1
    corpus = Corpus(ids[plain], np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]))
    counts = np.diff(offsets)[plain]
    truth = torch.zeros(int(lengths.sum()), len(told["labels"]), dtype=torch.bool)
    rows = np.repeat(np.arange(len(counts)), counts)
    truth[torch.from_numpy(rows), torch.from_numpy(listed.astype(np.int64))] = True
    document = np.repeat(np.arange(len(lengths)), lengths)
    parts: dict[int, Tensor] = {layer: torch.zeros(len(truth), model.shape.width) for layer in layers}
    reached = torch.zeros(len(truth), dtype=torch.bool)
    for micro in held_out(corpus, Reading(model.shape.context, 4096, 1, 0.0, 0), int(corpus.tokens) + 1):
        inputs, _ = tensors(corpus, micro, model.shape.context)
        found = residuals(model, inputs, layers)
        for row, (number,) in enumerate(micro):
            begin, length = int(corpus.offsets[number]), min(int(corpus.lengths[number]), model.shape.context - 1)
            reached[begin : begin + length] = True
            for layer in layers:
                parts[layer][begin : begin + length] = found[layer][row, 1 : length + 1]
    keep = reached
    even = torch.from_numpy(document % 2 == 0)
    return Stream(
        torch.from_numpy(corpus.ids.astype(np.int64))[keep], truth[keep], even[keep], {at: x[keep] for at, x in parts.items()}, told["labels"]
    )


def f1(hits: float, said: float, true: float) -> float:
    return 2 * hits / (said + true) if said + true else 0.0


def threshold_of(values: Tensor, truth: Tensor, positives: int) -> tuple[float, float]:
    """(F1, threshold) that is best: what lies above it is said to be the label. Values at 0 are never said."""
    on = values > 0
    order = values[on].argsort(descending=True)
    sorted_values, hits = values[on][order], truth[on][order].cumsum(0)
    if not len(order):
        return 0.0, float("inf")
    scores = 2 * hits / (torch.arange(1, len(order) + 1) + positives)
    # Between equal values there is no threshold.
    scores[:-1][sorted_values[:-1] == sorted_values[1:]] = 0
    best = int(scores.argmax())
    below = sorted_values[best + 1].item() if best + 1 < len(order) else 0.0
    return scores[best].item(), (sorted_values[best].item() + below) / 2


def judged(said: Tensor, truth: Tensor) -> dict[str, float]:
    hits, all_said, true = (int(each.sum()) for each in (said & truth, said, truth))
    return {"precision": hits / max(1, all_said), "recall": hits / max(1, true), "f1": f1(hits, all_said, true), "positives": true}


def encode_all(dictionary: Shipped, x: Tensor) -> Tensor:
    """[n, latents], in f16 to save room."""
    return torch.cat([dictionary.encode(part).half() for part in x.split(8192)])


def latent_pairs(stream: Stream, a: Tensor, asked: list[int]) -> list[dict]:
    """For each asked label the latents that may know it, with the threshold of one half and the scores of the other."""
    first, second = stream.chooses, ~stream.chooses
    half = a[first].float()
    truth = stream.truth[first][:, asked].float()
    on = (half > 0).float()
    hits = truth.T @ on
    binary = 2 * hits / (on.sum(0) + truth.sum(0)[:, None])
    cosine = (truth.T @ half) / (half.norm(dim=0).clamp(min=1e-6) * truth.norm(dim=0)[:, None])
    columns, others = half.T.contiguous(), a[second].T.contiguous()
    pairs = []
    for row, label in enumerate(asked):
        candidates = set(binary[row].topk(CANDIDATES).indices.tolist()) | set(cosine[row].topk(CANDIDATES).indices.tolist())
        wanted = stream.truth[first, label]
        for latent in sorted(candidates):
            chosen, threshold = threshold_of(columns[latent], wanted, int(wanted.sum()))
            scored = judged(others[latent].float() > threshold, stream.truth[second, label])
            pairs.append({"label": stream.labels[label], "latent": latent, "threshold": threshold, "chosen_f1": chosen, **scored})
    return pairs


def single_tokens(stream: Stream, asked: list[int]) -> dict[str, dict]:
    """The one token that is the best detector of a label in one half, scored in the other."""
    vocab = int(stream.ids.max()) + 1
    first, second = stream.chooses, ~stream.chooses
    counts = torch.bincount(stream.ids[first], minlength=vocab)
    found = {}
    for label in asked:
        wanted = stream.truth[first, label]
        hits = torch.bincount(stream.ids[first][wanted], minlength=vocab)
        best = int((2 * hits / (counts + wanted.sum())).argmax())
        found[stream.labels[label]] = {"token": best, **judged(stream.ids[second] == best, stream.truth[second, label])}
    return found


def probes(stream: Stream, x: Tensor, asked: list[int], steps: int = 300) -> dict[str, dict]:
    """Logistic regressions of the labels on the standardised residual, all at once, full batches."""
    first, second = stream.chooses, ~stream.chooses
    centre, spread = x[first].mean(0), x[first].std(0)
    z, other = (x[first] - centre) / spread, (x[second] - centre) / spread
    y = stream.truth[first][:, asked].float()
    weight, bias = torch.zeros(x.shape[1], len(asked), requires_grad=True), torch.full((len(asked),), -3.0, requires_grad=True)
    optimizer = torch.optim.Adam([weight, bias], lr=0.05)
    with torch.enable_grad():
        for step in range(steps):
            optimizer.param_groups[0]["lr"] = 0.05 * (1 - step / steps)
            optimizer.zero_grad()
            F.binary_cross_entropy_with_logits(z @ weight + bias, y).backward()
            optimizer.step()
    mine, theirs = (z @ weight + bias).detach().sigmoid(), (other @ weight + bias).detach().sigmoid()
    found = {}
    for column, label in enumerate(asked):
        wanted = stream.truth[first, label]
        _, threshold = threshold_of(mine[:, column], wanted, int(wanted.sum()))
        found[stream.labels[label]] = judged(theirs[:, column] > threshold, stream.truth[second, label])
    return found


def is_entity(label: str) -> bool:
    return label.split(":")[0] in {"person", "place", "job", "animal", "food", "colour", "object", "weather", "feeling", "goods"}


def written(label: str) -> str:
    return label.replace(":", ": ", 1)


def good(label: str, score: float, single: float) -> bool:
    return score >= ENTITY if is_entity(label) else score >= CONTEXTUAL and score >= single + MARGIN


def measure(name: str, folder: Path, stream: Stream, asked: list[int], single: dict[str, dict], out: bool) -> dict:
    """One dictionary: the best latent of every label; writes its labels.json."""
    dictionary = read(folder)
    x = stream.residual[layer_of(dictionary.hook)]
    pairs = latent_pairs(stream, encode_all(dictionary, x), asked)
    best: dict[str, dict] = {}
    of_latent: dict[int, dict] = {}
    for pair in pairs:
        label, latent = pair["label"], pair["latent"]
        if label not in best or pair["chosen_f1"] > best[label]["chosen_f1"]:
            best[label] = pair
        if good(label, pair["f1"], single[label]["f1"]) and (latent not in of_latent or pair["chosen_f1"] > of_latent[latent]["chosen_f1"]):
            of_latent[latent] = pair
    if out:
        rows = [
            {"latent": latent, "label": written(pair["label"]), **{key: round(pair[key], 4) for key in ("precision", "recall", "f1", "threshold")}}
            for latent, pair in sorted(of_latent.items())
        ]
        text = ",\n".join("    " + json.dumps(row, ensure_ascii=False) for row in rows)
        (folder / "labels.json").write_text(f'{{\n  "source": {json.dumps(SOURCE, ensure_ascii=False)},\n  "labels": [\n{text}\n  ]\n}}\n')
    return {"hook": dictionary.hook, "labelled": len(of_latent), "best": best}


def summary(result: dict) -> None:
    single = result["single_token"]
    labels = list(single)
    entities, contextual = [each for each in labels if is_entity(each)], [each for each in labels if not is_entity(each)]

    def told(name: str, of) -> None:
        strong = sum(of(each)["f1"] >= 0.9 for each in entities)
        passed = [each for each in contextual if good(each, of(each)["f1"], single[each]["f1"])]
        print(f"{name}: entities with F1 ≥ 0.9: {strong}/{len(entities)}; contextual: {len(passed)}/{len(contextual)} {passed}")

    for name, each in result["dictionaries"].items():
        told(name, lambda label, best=each["best"]: best[label])
    told("all", lambda label: max((each["best"][label] for each in result["dictionaries"].values()), key=lambda pair: pair["chosen_f1"]))


def shipped_scores(result: dict, trained: dict) -> dict:
    """What the card tells: a score a dictionary, and for every label the best latent over all of them, chosen by the choosing half."""
    best = {
        label: max((each["best"][label] for each in result["dictionaries"].values()), key=lambda pair: pair["chosen_f1"])["f1"]
        for label in result["single_token"]
    }
    single = {label: each["f1"] for label, each in result["single_token"].items()}
    entities = [label for label in best if is_entity(label)]
    keys = ("hook", "latents", "k", "tokens", "minutes", "bytes", "ce_score", "l0", "dead", "fvu", "positions")
    return {
        "dictionaries": {
            name: {**{key: trained[name][key] for key in keys}, "labelled": each["labelled"]} for name, each in result["dictionaries"].items()
        },
        "tokens": result["tokens"],
        "entities": {
            "asked": len(entities),
            "strong": sum(best[label] >= 0.9 for label in entities),
            "below": {label: round(best[label], 3) for label in entities if best[label] < 0.9},
        },
        "contextual": {
            label: {
                "latent": round(best[label], 3),
                "single": round(single[label], 3),
                "probe": round(max(each[label]["f1"] for each in result["probe"].values()), 3),
                "good": good(label, best[label], single[label]),
            }
            for label in best
            if not is_entity(label)
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stream", type=Path, default=Path("build/world/stream"))
    parser.add_argument("--model", type=Path, default=Path("public/demo/lanternwick"))
    parser.add_argument("--dictionaries", type=Path, default=Path("public/demo/dictionaries"))
    parser.add_argument("--out", type=Path, default=Path("build/world/latents.json"))
    args = parser.parse_args()
    folders = sorted(each.parent for each in args.dictionaries.glob("*/cfg.json"))
    stream = load(args.stream, shipped(args.model), sorted({layer_of(read(each).hook) for each in folders}))
    asked = [i for i in range(len(stream.labels)) if all(int(stream.truth[half, i].sum()) >= LEAST for half in (stream.chooses, ~stream.chooses))]
    single = single_tokens(stream, asked)
    contextual = [label for label in asked if not is_entity(stream.labels[label])]
    result = {
        "tokens": len(stream.ids),
        "asked": len(asked),
        "too_rare": [label for i, label in enumerate(stream.labels) if i not in asked],
        "single_token": single,
        "probe": {f"blocks.{at - 1}.hook_resid_post": probes(stream, x, contextual) for at, x in stream.residual.items()},
        "dictionaries": {each.name: measure(each.name, each, stream, asked, single, True) for each in folders},
    }
    args.out.write_text(json.dumps(result, ensure_ascii=False, indent=1) + "\n")
    trained = args.out.with_name("dictionaries.json")
    if trained.exists():
        told = shipped_scores(result, json.loads(trained.read_text()))
        (args.dictionaries / "scores.json").write_text(json.dumps(told, ensure_ascii=False, indent=1) + "\n")
    print(f"{len(stream.ids):,} tokens, {len(asked)} labels asked, too rare: {result['too_rare']}")
    summary(result)


if __name__ == "__main__":
    with torch.no_grad():
        main()
