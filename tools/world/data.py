"""Which documents are read together, and in which order.

A document is trained as Loupe reads it: alone, after one end-of-text token, from position 0; the same token ends it. Rather
than packing documents into rows of 256 and masking them from each other, documents of about one length share a batch: no mask,
2% of padding, and attention over 80 tokens where it would be over 256 (tools/world/README.md has the figures). A share of the
documents is joined into chains of up to a whole context, so that late positions are trained too and an end can be followed by a beginning.
Everything is a function of the seed and the epoch, so a position in the data is two numbers.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tokens import Corpus

IGNORE = -100


@dataclass(frozen=True)
class Reading:
    """How a corpus is cut up: tokens a micro-batch (padding counted), micro-batches a step, the share that is joined."""

    context: int
    micro_tokens: int
    micros: int
    joined: float
    seed: int
    pool: int = 4096


class Epoch:
    """One pass over a corpus. `steps[i]` is a list of micro-batches; a micro-batch is a list of chains of documents."""

    def __init__(self, corpus: Corpus, reading: Reading, number: int):
        self.corpus, self.reading = corpus, reading
        random = np.random.default_rng([reading.seed, number])
        order = random.permutation(len(corpus))
        cut = int(len(order) * reading.joined)
        chains = chain(corpus, order[:cut], reading.context) + [[int(i)] for i in order[cut:]]
        random.shuffle(chains)
        self.micros: list[list[list[int]]] = []
        for start in range(0, len(chains), reading.pool):
            pool = sorted(chains[start : start + reading.pool], key=self.length)
            micros = self.cut(pool)
            random.shuffle(micros)
            self.micros += micros

    def length(self, documents: list[int]) -> int:
        """Inputs of a chain: every document and the end-of-text token before it."""
        return min(self.reading.context, int(sum(self.corpus.lengths[i] + 1 for i in documents)))

    def cut(self, pool: list[list[int]]) -> list[list[list[int]]]:
        """Chains sorted by length into micro-batches of at most `micro_tokens`, padding included."""
        micros: list[list[list[int]]] = []
        for documents in pool:
            rows = len(micros[-1]) + 1 if micros else 0
            if not micros or rows * self.length(documents) > self.reading.micro_tokens:
                micros.append([])
            micros[-1].append(documents)
        return micros

    def __len__(self) -> int:
        return max(1, len(self.micros) // self.reading.micros)

    def step(self, index: int) -> list[list[list[int]]]:
        return self.micros[index * self.reading.micros : (index + 1) * self.reading.micros]


def chain(corpus: Corpus, order: np.ndarray, context: int) -> list[list[int]]:
    """Documents one after another, as many as a context holds."""
    chains: list[list[int]] = []
    room = 0
    for index in order.tolist():
        needed = int(corpus.lengths[index]) + 1
        if needed > room or not chains:
            chains.append([])
            room = context
        chains[-1].append(index)
        room -= needed
    return chains


def tensors(corpus: Corpus, chains: list[list[int]], context: int, end: int = 0) -> tuple[Tensor, Tensor]:
    """(inputs, targets), [rows, time]: the targets of padding are IGNORE, that of a text's last token is the end of the text."""
    texts = []
    for documents in chains:
        parts = [np.concatenate([[end], corpus[i]]) for i in documents]
        texts.append(np.concatenate([*parts, [end]])[: context + 1])
    width = max(len(text) for text in texts)
    whole = np.full((len(texts), width), end, dtype=np.int64)
    known = np.zeros((len(texts), width), dtype=bool)
    for row, text in enumerate(texts):
        whole[row, : len(text)] = text
        known[row, : len(text)] = True
    targets = np.where(known, whole, IGNORE)[:, 1:]
    return torch.from_numpy(whole[:, :-1].copy()), torch.from_numpy(targets.copy())


def held_out(corpus: Corpus, reading: Reading, tokens: int) -> list[list[list[int]]]:
    """The first documents, about `tokens` of them, each alone, in micro-batches of one length."""
    count = int(np.searchsorted(corpus.offsets, tokens)) or 1
    epoch = Epoch(Corpus(corpus.ids, corpus.offsets[: min(count, len(corpus)) + 1]), Reading(reading.context, reading.micro_tokens, 1, 0.0, 0), 0)
    return epoch.micros
