"""Gradients from several processes, one core each, over weights they share.

On two noisy cores this beats one process with two threads: nobody waits at the end of every small matrix product, each core
keeps its micro-batch in its own cache, and when another program takes a core for a while the other hand simply takes more
micro-batches, which it draws from a common counter. (So the order in which a step's gradients are summed is not fixed, and two runs agree to
rounding, not to the bit.) On an accelerator there is one hand and no second process.
"""

import os
import signal
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.multiprocessing as mp
from torch import Tensor

from data import Epoch, Reading, held_out, tensors
from model import Model, Shape
from tokens import TOKENIZER, encode

TRAIN, VALID, STOP = 0, 1, 2


@dataclass(frozen=True)
class Work:
    """All that a process needs to know, small enough to be sent."""

    folder: Path
    tokenizer: Path
    shape: Shape
    reading: Reading
    valid_tokens: int
    device: str
    bf16: bool


class Shared:
    """What the processes have in common: weights, a row of gradients each, and what is to be done."""

    def __init__(self, parameters: int, hands: int, device: str):
        context = mp.get_context("spawn")
        on = {"device": device} if hands == 1 else {}
        self.weights = torch.zeros(parameters, **on)
        self.gradients = torch.zeros(hands, parameters, **on)
        self.sums = torch.zeros(hands, 2, dtype=torch.float64)
        self.job = torch.zeros(3, dtype=torch.int64)
        if hands > 1:
            for each in (self.weights, self.gradients, self.sums, self.job):
                each.share_memory_()
        self.next = context.Value("q", 0)
        self.go = [context.Semaphore(0) for _ in range(hands)]
        self.done = context.Semaphore(0)

    def take(self, below: int) -> int | None:
        with self.next.get_lock():
            index = self.next.value
            self.next.value += 1
        return index if index < below else None


class Hand:
    """A model whose weights and gradients are views of the shared ones, and the data it reads."""

    def __init__(self, work: Work, shared: Shared, rank: int):
        self.work, self.shared, self.rank = work, shared, rank
        self.model = Model(work.shape).to(work.device)
        at = 0
        for p in self.model.parameters():
            weights, gradients = (flat[at : at + p.numel()].view_as(p) for flat in (shared.weights, shared.gradients[rank]))
            p.data, p.grad = weights, gradients
            at += p.numel()
        self.train = encode(work.folder / "train.txt", work.tokenizer / TOKENIZER)
        self.valid = encode(work.folder / "valid.txt", work.tokenizer / TOKENIZER)
        self.valid_micros = held_out(self.valid, work.reading, work.valid_tokens)
        self.number, self.epoch = -1, Epoch.__new__(Epoch)

    def at(self, number: int) -> Epoch:
        if self.number != number:
            self.number, self.epoch = number, Epoch(self.train, self.work.reading, number)
        return self.epoch

    def do(self) -> None:
        """The share of a job that this hand gets hold of; leaves gradients, and (loss, targets) in `sums`."""
        mode, number, step = self.shared.job.tolist()
        micros = self.at(number).step(step) if mode == TRAIN else self.valid_micros
        corpus = self.train if mode == TRAIN else self.valid
        if mode == TRAIN:
            self.shared.gradients[self.rank].zero_()
        loss, targets = 0.0, 0
        while (index := self.shared.take(len(micros))) is not None:
            x, y = (each.to(self.work.device) for each in tensors(corpus, micros[index], self.work.reading.context))
            with torch.set_grad_enabled(mode == TRAIN), torch.autocast(x.device.type, torch.bfloat16, enabled=self.work.bf16):
                nats = self.model.loss(x, y)
            if mode == TRAIN:
                nats.backward()
            loss += nats.item()
            targets += int((y >= 0).sum())
        self.shared.sums[self.rank] = torch.tensor([loss, targets], dtype=torch.float64)


def helper(work: Work, shared: Shared, rank: int, parent: int) -> None:
    """A further process. It ends when it is told to, or when the one that started it is gone."""
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, signal.SIG_IGN)
    torch.set_num_threads(1)
    hand = Hand(work, shared, rank)
    while True:
        while not shared.go[rank].acquire(timeout=5):
            if os.getppid() != parent:
                return
        if shared.job[0] == STOP:
            return
        hand.do()
        shared.done.release()


class Hands:
    """All of them, as the trainer sees them."""

    def __init__(self, work: Work, count: int):
        if work.device == "cpu":
            torch.set_num_threads(1 if count > 1 else os.cpu_count() or 1)
        encode(work.folder / "train.txt", work.tokenizer / TOKENIZER)
        parameters = sum(p.numel() for p in Model(work.shape).parameters())
        self.shared = Shared(parameters, count, work.device)
        self.own = Hand(work, self.shared, 0)
        context = mp.get_context("spawn")
        self.helpers = [context.Process(target=helper, args=(work, self.shared, rank, os.getpid()), daemon=True) for rank in range(1, count)]
        for process in self.helpers:
            process.start()

    @property
    def model(self) -> Model:
        return self.own.model

    def load(self, weights: dict[str, Tensor]) -> None:
        """Copies into the shared weights, where every hand sees them."""
        self.model.load_state_dict(weights)

    def run(self, mode: int, number: int = 0, step: int = 0) -> tuple[float, int]:
        """Mean loss and how many targets; after TRAIN the mean gradient is in the own model's `.grad`."""
        shared = self.shared
        shared.job.copy_(torch.tensor([mode, number, step]))
        shared.next.value = 0
        for go in shared.go[1:]:
            go.release()
        self.own.do()
        for process in self.helpers:
            while not shared.done.acquire(timeout=10):
                if not process.is_alive():
                    raise RuntimeError("A helper process has ended; the last checkpoint is good.")
        loss, targets = shared.sums.sum(0).tolist()
        if mode == TRAIN:
            for other in shared.gradients[1:]:
                shared.gradients[0] += other
            shared.gradients[0] /= targets
        return loss / targets, int(targets)

    def stop(self) -> None:
        self.shared.job[0] = STOP
        for go in self.shared.go[1:]:
            go.release()
        for process in self.helpers:
            process.join(timeout=10)
