"""Trains the demo world's dictionaries on what the shipped model holds while it reads the world's texts. Resumable; two CPU cores.

    node tools/world/run.mjs corpus --documents 300000        # build/world/train.txt and valid.txt
    python tools/world/dictionaries.py                        # goes on where it was stopped; writes public/demo/dictionaries/
    python tools/world/dictionaries.py --short                # about two minutes: PASS or FAIL

Ctrl-C (or SIGTERM) saves and stops; the same command goes on. --fresh begins anew. The dictionaries are trained side by side on the same batches:
one pass through the model feeds them all. dictionary.py has the maths, plans.json which dictionaries there are. tools/world/README.md says why these.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import torch

from activations import IDS, Buffer, layer_of, shipped
from data import Reading
from dictionary import Dictionary, Plan
from saelens import read, write
from scores import held_out_texts, scores
from tokens import TOKENIZER, encode

HERE = Path(__file__).resolve().parent


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("build/world"), help="has train.txt and valid.txt; the checkpoint is written here")
    parser.add_argument("--model", type=Path, default=Path("public/demo/lanternwick"))
    parser.add_argument("--out", type=Path, default=Path("public/demo/dictionaries"))
    parser.add_argument("--plans", type=Path, default=HERE / "plans.json")
    parser.add_argument("--tokens", type=float, default=2.5e6, help="of training, in all, saved runs counted in")
    parser.add_argument("--batch", type=int, default=512, help="tokens a step")
    parser.add_argument("--room", type=int, default=131072, help="tokens in the buffer that mixes documents")
    parser.add_argument("--rare", type=float, default=5e-5, help="tokens of more than this share of the text are thinned out")
    parser.add_argument("--warmup", type=int, default=100)
    parser.add_argument("--decay", type=float, default=0.3, help="the last share of the run, over which the rate goes to 0")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--scored-tokens", type=int, default=60_000)
    parser.add_argument("--only", default="", help="names of plans, separated by commas: a process for each of two depths shares two cores best")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--fresh", action="store_true", help="do not go on from a checkpoint")
    parser.add_argument("--export", action="store_true", help="only write and score what the checkpoint holds, also while a run goes on")
    parser.add_argument("--short", action="store_true")
    return parser.parse_args()


class Run:
    """What is to be saved, and the loop."""

    def __init__(self, args: argparse.Namespace):
        self.args = args
        self.plans = [Plan(**{**each, "groups": tuple(each.get("groups", ()))}) for each in json.loads(args.plans.read_text())]
        self.plans = [plan for plan in self.plans if not args.only or plan.name in args.only.split(",")]
        self.kept = args.folder / f"dictionaries{'-' + args.only if args.only else ''}.pt"
        self.model = shipped(args.model)
        self.corpus = encode(args.folder / "train.txt", args.model / TOKENIZER)
        self.reading = Reading(self.model.shape.context, 4096, 1, 0.1, args.seed)
        self.layers = [layer_of(plan.hook) for plan in self.plans]
        self.seconds, self.tokens, self.stopped = 0.0, 0, False
        state = None if args.fresh or not self.kept.exists() else torch.load(self.kept, weights_only=True)
        if state and state["plans"] != [plan.as_dict() for plan in self.plans]:
            sys.exit(f"{self.kept} is of other plans than {args.plans}; --fresh begins anew.")
        start = state["read"] if state else 0
        self.buffer = Buffer(self.model, self.corpus, self.reading, self.layers, args.room, args.seed, start, args.rare)
        first = self.buffer.next(args.room)
        self.dictionaries = [Dictionary(plan, first[layer], first[IDS]) for plan, layer in zip(self.plans, self.layers, strict=True)]
        if state:
            self.seconds, self.tokens = state["seconds"], state["tokens"]
            for dictionary, each in zip(self.dictionaries, state["dictionaries"], strict=True):
                dictionary.load_state_dict(each)
            print(f"going on from {self.tokens:,} tokens, {self.seconds / 60:.1f} minutes", flush=True)

    def save(self) -> None:
        """Whole or not at all."""
        path = self.kept
        state = {
            "plans": [plan.as_dict() for plan in self.plans],
            "read": self.buffer.read,
            "seconds": self.seconds,
            "tokens": self.tokens,
            "dictionaries": [each.state_dict() for each in self.dictionaries],
        }
        torch.save(state, path.with_suffix(".part"))
        os.replace(path.with_suffix(".part"), path)

    def progress(self) -> float:
        return min(1.0, self.tokens / self.args.tokens)

    def rate(self) -> float:
        left = (1 - self.progress()) / self.args.decay
        return min(1.0, (self.dictionaries[0].steps + 1) / self.args.warmup, left)

    def train(self) -> None:
        last = saved = begun = time.time()
        since = 0
        while self.progress() < 1 and not self.stopped:
            batch, rate = self.buffer.next(self.args.batch), self.rate()
            told = [each.step(batch[layer], rate) for each, layer in zip(self.dictionaries, self.layers, strict=True)]
            now = time.time()
            self.seconds, last = self.seconds + now - last, now
            self.tokens += self.args.batch
            since += self.args.batch
            if self.dictionaries[0].steps % 200 == 0:
                shown = "  ".join(f"{plan.name}: fvu {each['fvu']:.4f} silent {each['dead']:.3f}" for plan, each in zip(self.plans, told, strict=True))
                left = (self.args.tokens - self.tokens) / since * (now - begun) / 60
                print(f"{self.tokens / 1e6:6.2f} M  {since / (now - begun):6,.0f} tokens/s  rate × {rate:.2f}  {left:.1f} min left  {shown}", flush=True)
                begun, since = now, 0
            if now - saved > 120:
                self.save()
                saved = now
        self.save()

    def export(self) -> dict[str, dict]:
        """Writes every dictionary, reads it back, and scores what was read."""
        texts, measured = held_out_texts(self.args.folder, self.args.model), {}
        # Thresholds are those of natural text.
        natural = Buffer(self.model, self.corpus, self.reading, self.layers, 16384, self.args.seed + 1).next(8192)
        for dictionary in self.dictionaries:
            plan, folder = dictionary.plan, self.args.out / dictionary.plan.name
            dictionary.calibrate(natural[layer_of(plan.hook)])
            write(dictionary, folder, self.tokens)
            found = read(folder)
            x = natural[layer_of(plan.hook)][:1024]
            z = dictionary.centred(x)
            pre = dictionary.pre(z)
            mine = (pre * (pre > dictionary.threshold)) @ dictionary.weights["W_dec"] + dictionary.weights["b_dec"]
            theirs = dictionary.centred(found.decode(found.encode(x)))
            # A latent that is at its threshold may fall on either side of it once the weights are rounded to f16.
            close = ((mine - theirs).abs().amax(1) <= 0.01 * z.abs().amax(1)).double().mean().item()
            assert close >= 0.9, f"{plan.name}: the file gives another reconstruction than the training ({close:.3f} of rows agree)"
            size = sum(each.stat().st_size for each in folder.iterdir())
            measured[plan.name] = {**plan.as_dict(), "bytes": size, "rows_that_agree": close, **scores(self.model, found, texts, self.args.scored_tokens)}
        return measured


def finish(run: Run) -> None:
    with torch.no_grad():
        measured = run.export()
    path = run.args.folder / "dictionaries.json"
    told = json.loads(path.read_text()) if path.exists() else {}
    trained = {"tokens": run.tokens, "minutes": round(run.seconds / 60, 1), "steps": run.dictionaries[0].steps}
    told |= {name: {**each, **trained} for name, each in measured.items()}
    path.write_text(json.dumps(told, indent=2) + "\n")
    print(json.dumps(told, indent=2))
    if run.args.short:
        good = all(each["ce_score"] > 0.8 and each["l0"] < 2 * each["k"] and each["dead"] < 0.5 for each in measured.values())
        print(f"{'PASS' if good else 'FAIL'}: cross-entropy recovered " + ", ".join(f"{each['ce_score']:.3f}" for each in measured.values()))
        sys.exit(not good)


def main() -> None:
    args = arguments()
    if args.short:
        args.folder, args.out, args.fresh, args.tokens = Path("build/world-short"), Path("build/world-short/dictionaries"), True, 2e5
        root = HERE.parents[1]
        command = ["node", "tools/world/run.mjs", "corpus", "--documents", "20000", "--valid", "500", "--out", str(args.folder.resolve())]
        subprocess.run(command, cwd=root, check=True)
    if not (args.folder / "train.txt").exists():
        sys.exit(f"{args.folder}/train.txt is missing: node tools/world/run.mjs corpus --out {args.folder} writes it.")
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    run = Run(args)

    def stop(*_: object) -> None:
        run.stopped = True

    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, stop)
    with torch.no_grad():
        if not args.export:
            run.train()
    if run.stopped:
        print(f"stopped and saved at {run.tokens:,} tokens; the same command goes on")
    else:
        finish(run)


if __name__ == "__main__":
    main()
