"""Trains the demo world's model: tokeniser, GPT-2 of 1.5 million parameters, export. Resumable; two CPU cores or an accelerator.

    node tools/world/run.mjs corpus --documents 800000        # build/world/train.txt and valid.txt
    python tools/world/train.py --minutes 60                  # goes on where it was stopped; ends with build/world/model/
    python tools/world/train.py --short                       # about two minutes: does the loss fall, does the export load? PASS or FAIL

Ctrl-C (or SIGTERM) saves and stops; the same command goes on. --fresh begins anew, tokeniser included. A run that has ended
goes on from the end of its stable phase when it is given more minutes. Needs tools/world/requirements.txt. tools/world/README.md says why it is as it is.
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

from data import Reading
from export import export, sample
from hands import TRAIN, VALID, Hands, Work
from model import Shape
from optimize import Optimizers, Recipe, factor
from tokens import TOKENIZER, train_tokenizer


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("build/world"), help="has train.txt and valid.txt; everything is written here")
    parser.add_argument("--minutes", type=float, default=60, help="of training, in all, saved runs counted in")
    parser.add_argument("--tokens", type=float, help="instead of --minutes: tokens in all")
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--fresh", action="store_true", help="do not go on from a checkpoint; train the tokeniser again")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--hands", type=int, help="processes; on a CPU as many as it has cores, at most 4")
    parser.add_argument("--precision", choices=("bf16", "f32"), default="bf16", help="of the matrix products; weights are f32 always")
    parser.add_argument("--micro-tokens", type=int, help="2048 on a CPU (a core's cache), 16384 on an accelerator")
    parser.add_argument("--batch-tokens", type=int, default=16384)
    parser.add_argument("--joined", type=float, default=0.1, help="share of the documents that follow another in one context")
    parser.add_argument("--vocab", type=int, default=2048)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--optimizer", choices=("muon", "adamw"), default=Recipe.kind)
    parser.add_argument("--lr", type=float, default=Recipe.lr)
    parser.add_argument("--muon-lr", type=float, default=Recipe.muon_lr)
    parser.add_argument("--weight-decay", type=float, default=Recipe.weight_decay)
    parser.add_argument("--decay", type=float, default=Recipe.decay, help="the last share of the run, over which the rate goes to 0")
    parser.add_argument("--warmup", type=int, default=Recipe.warmup)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--save-minutes", type=float, default=3)
    parser.add_argument("--valid-steps", type=int, default=250)
    parser.add_argument("--valid-tokens", type=int, default=60_000)
    return parser.parse_args()


class Run:
    """A training run: what is to be saved, and the loop."""

    def __init__(self, args: argparse.Namespace):
        self.args = args
        shape = Shape(args.vocab, 256, args.layers, args.width, args.heads)
        micro = args.micro_tokens or (2048 if args.device == "cpu" else 16384)
        reading = Reading(shape.context, micro, max(1, args.batch_tokens // micro), args.joined, args.seed)
        self.tokenizer = args.folder / "tokenizer"
        if args.fresh or not (self.tokenizer / TOKENIZER).exists():
            started = time.time()
            train_tokenizer(args.folder / "train.txt", self.tokenizer, shape.vocab, shape.context)
            print(f"tokeniser: {shape.vocab} tokens, {time.time() - started:.0f} s", flush=True)
        count = self.processes = args.hands or (min(4, os.cpu_count() or 1) if args.device == "cpu" else 1)
        work = Work(args.folder, self.tokenizer, shape, reading, args.valid_tokens, args.device, args.precision == "bf16")
        started = time.time()
        self.hands = Hands(work, count)
        corpus = self.hands.own.train
        print(
            f"corpus: {len(corpus):,} documents, {corpus.tokens:,} tokens ({corpus.tokens / len(corpus):.0f} a document, longest "
            f"{corpus.lengths.max()}), {time.time() - started:.0f} s; {args.device}, {count} hand(s), {args.precision}",
            flush=True,
        )
        torch.manual_seed(args.seed)
        self.hands.model.reset()
        self.recipe = Recipe(args.optimizer, args.lr, args.muon_lr, args.weight_decay, args.warmup, args.decay)
        self.optimizers = Optimizers(self.hands.model, self.recipe)
        self.shape, self.reading = shape, reading
        self.steps = self.targets = self.epoch = self.index = 0
        self.seconds = 0.0
        self.stopped = False
        self.stable_saved = False

    # ---- saving and taking up again
    def save(self, name: str = "checkpoint.pt") -> None:
        """Whole or not at all: written beside, then renamed."""
        path = self.args.folder / name
        state = {
            "shape": self.shape.as_dict(),
            "weights": self.hands.model.state_dict(),
            "optimizers": self.optimizers.state_dict(),
            "recipe": self.args.optimizer,
            "steps": self.steps,
            "tokens": self.targets,
            "epoch": self.epoch,
            "index": self.index,
            "seconds": self.seconds,
            "progress": self.progress(),
        }
        part = path.with_suffix(".part")
        torch.save(state, part)
        os.replace(part, path)

    def resume(self) -> None:
        path, stable = (self.args.folder / name for name in ("checkpoint.pt", "stable.pt"))
        if self.args.fresh or not path.exists():
            stable.unlink(missing_ok=True)
            return
        state = torch.load(path, map_location=self.args.device, weights_only=True)
        self.stable_saved = stable.exists()
        self.targets, self.seconds = state["tokens"], state["seconds"]
        if state["progress"] > 1 - self.recipe.decay and self.progress() < state["progress"] - 0.01 and self.stable_saved:
            print("more was asked for than this run was ended with: going on from its stable phase")
            state = torch.load(stable, map_location=self.args.device, weights_only=True)
            self.stable_saved = False
        if state["shape"] != self.shape.as_dict() or state["recipe"] != self.args.optimizer:
            sys.exit(f"{path} is of another shape or optimiser ({state['shape']}, {state['recipe']}); --fresh begins anew.")
        self.hands.load(state["weights"])
        self.optimizers.load_state_dict(state["optimizers"])
        self.steps, self.targets, self.epoch, self.index = (state[key] for key in ("steps", "tokens", "epoch", "index"))
        self.seconds = state["seconds"]
        print(f"going on from step {self.steps} ({self.targets:,} tokens, {self.seconds / 60:.1f} minutes)", flush=True)

    def progress(self) -> float:
        """The share of the run that is done."""
        done = self.targets / self.args.tokens if self.args.tokens else self.seconds / (60 * self.args.minutes)
        return min(1.0, done)

    # ---- the loop
    def log(self, **record: float) -> None:
        with (self.args.folder / "log.jsonl").open("a") as file:
            file.write(json.dumps(record) + "\n")

    def valid(self) -> float:
        loss, _ = self.hands.run(VALID, self.epoch)
        self.log(step=self.steps, tokens=self.targets, seconds=round(self.seconds, 1), valid=round(loss, 5))
        print(f"step {self.steps:6d}  {self.targets / 1e6:7.2f} M tokens  valid {loss:.4f}", flush=True)
        return loss

    def step(self) -> tuple[float, int]:
        loss, targets = self.hands.run(TRAIN, self.epoch, self.index)
        torch.nn.utils.clip_grad_norm_(self.hands.model.parameters(), self.recipe.clip)
        self.optimizers.step(factor(self.steps, self.progress(), self.recipe))
        self.steps, self.targets, self.index = self.steps + 1, self.targets + targets, self.index + 1
        if self.index >= len(self.hands.own.at(self.epoch)):
            self.epoch, self.index = self.epoch + 1, 0
        return loss, targets

    def train(self) -> None:
        """Until the budget is used or somebody stops it."""
        last = saved = time.time()
        begun, losses, since = last, [], 0
        while self.progress() < 1 and not self.stopped:
            if not self.stable_saved and self.progress() > 1 - self.recipe.decay:
                self.save("stable.pt")
                self.stable_saved = True
            loss, targets = self.step()
            now = time.time()
            self.seconds += now - last
            last = now
            losses.append(loss)
            since += targets
            if self.steps % 50 == 0:
                self.report(sum(losses) / len(losses), since / (now - begun))
                begun, losses, since = now, [], 0
            if self.steps % self.args.valid_steps == 0:
                self.valid()
                begun = last = time.time()
            if now - saved > 60 * self.args.save_minutes:
                self.save()
                saved = now
        self.save()

    def report(self, loss: float, rate: float) -> None:
        left = self.seconds * (1 / max(self.progress(), 1e-9) - 1)
        self.log(step=self.steps, tokens=self.targets, seconds=round(self.seconds, 1), loss=round(loss, 5), rate=round(rate))
        print(
            f"step {self.steps:6d}  {self.targets / 1e6:7.2f} M tokens  loss {loss:.4f}  {rate:7,.0f} tokens/s  "
            f"epoch {self.epoch}  rate × {factor(self.steps, self.progress(), self.recipe):.2f}  {left / 60:.0f} min left",
            flush=True,
        )


def short(args: argparse.Namespace) -> None:
    """A small corpus of its own, two minutes, a verdict."""
    args.folder = Path("build/world-short")
    args.fresh, args.minutes, args.tokens, args.warmup, args.valid_steps = True, 1.5, None, 20, 10**9
    root = Path(__file__).resolve().parents[2]
    command = ["node", "tools/world/run.mjs", "corpus", "--documents", "20000", "--valid", "500", "--out", str(args.folder.resolve())]
    subprocess.run(command, cwd=root, check=True)


def finish(run: Run, first: float) -> None:
    """Exports, prints what was measured, and for --short the verdict."""
    last = run.valid()
    measured = export(run.hands.model, run.args.folder, run.tokenizer, run.args.folder / "model")
    measured |= {"tokens": run.targets, "steps": run.steps, "minutes": round(run.seconds / 60, 2), "loss_before_export": last}
    measured["device"] = f"{run.args.device}, {run.processes} processes, {run.args.precision}"
    (run.args.folder / "training.json").write_text(json.dumps(measured, indent=2) + "\n")
    print(json.dumps(measured, indent=2))
    for seed in range(3):
        print("──", sample(run.hands.model.cpu(), run.tokenizer / TOKENIZER, "", seed=seed))
    if run.args.short:
        fell, near = last < 0.6 * first, abs(measured["loss_f16"] - measured["loss_f32"]) < 0.01
        small = measured["bytes"] <= 6e6
        verdict = "PASS" if fell and near and small else "FAIL"
        print(
            f"{verdict}: held-out loss {first:.2f} → {last:.2f} nats a token ({'fell' if fell else 'did NOT fall by 40%'}); the export loads in "
            f"transformers and its logits agree to {measured['transformers_difference']:.0e}; {measured['bytes'] / 1e6:.2f} MB; "
            f"f16 changes the loss by {measured['loss_f16'] - measured['loss_f32']:+.5f}"
        )
        sys.exit(verdict != "PASS")


def main() -> None:
    args = arguments()
    if args.short:
        short(args)
    if not (args.folder / "train.txt").exists():
        sys.exit(f"{args.folder}/train.txt is missing: node tools/world/run.mjs corpus --out {args.folder} writes it.")
    run = Run(args)

    def stop(*_: object) -> None:
        run.stopped = True

    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, stop)
    run.resume()
    first = run.valid()
    try:
        run.train()
        if run.stopped:
            print(f"stopped and saved at step {run.steps}; the same command goes on")
        else:
            finish(run, first)
    finally:
        run.hands.stop()


if __name__ == "__main__":
    main()
