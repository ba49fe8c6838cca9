"""The texts as numbers: a byte-level BPE like GPT-2's trained on the world's own text, and every document encoded once.

`documents` reads a file of documents separated by NUL bytes. `train_tokenizer` writes tokenizer.json and tokenizer_config.json in
the form that transformers and Loupe read. `encode` leaves one flat uint16 array and the documents' offsets beside the text,
and takes them up again while neither the text nor the tokeniser has changed.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

END = "<|endoftext|>"
TOKENIZER = "tokenizer.json"
# Words that are to be one token each (tools/world/lexicon/glossary.ts says why), seen this often by the tokeniser's trainer alone.
GLOSSARY = "glossary.txt"
GLOSSARY_WEIGHT = 1000


def documents(path: Path, chunk: int = 1 << 22) -> Iterator[str]:
    """The documents of a file, in order; empty ones are skipped."""
    rest = b""
    with path.open("rb") as file:
        while block := file.read(chunk):
            *whole, rest = (rest + block).split(b"\0")
            yield from (text for each in whole if (text := each.decode().strip("\n")))
    if text := rest.decode().strip("\n"):
        yield text


def train_tokenizer(text: Path, folder: Path, size: int, context: int, sample: int = 60_000) -> Tokenizer:
    """Byte-level BPE of `size` tokens, the end-of-text token first, from the first `sample` documents."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=[END], initial_alphabet=alphabet, show_progress=False)
    glossary = text.parent / GLOSSARY
    words = [word for word in documents(glossary) for _ in range(GLOSSARY_WEIGHT)] if glossary.exists() else []
    tokenizer.train_from_iterator(chain(words, islice(documents(text), sample)), trainer)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / TOKENIZER))
    config = {
        "tokenizer_class": "GPT2Tokenizer",
        "add_prefix_space": False,
        "bos_token": END,
        "eos_token": END,
        "unk_token": END,
        "model_max_length": context,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")
    return tokenizer


class Corpus:
    """Encoded documents: `self[i]` is document i's ids, without any end-of-text token."""

    def __init__(self, ids: np.ndarray, offsets: np.ndarray):
        self.ids, self.offsets = ids, offsets
        self.lengths = np.diff(offsets)

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, index: int) -> np.ndarray:
        return self.ids[self.offsets[index] : self.offsets[index + 1]]

    @property
    def tokens(self) -> int:
        return int(self.offsets[-1])


def key_of(text: Path, tokenizer: Path) -> str:
    """What the encoded arrays were made of: the text's size and time, the tokeniser's bytes."""
    stat = text.stat()
    return f"{stat.st_size} {stat.st_mtime_ns} {hashlib.sha256(tokenizer.read_bytes()).hexdigest()}"


def encode(text: Path, tokenizer_path: Path, batch: int = 20_000) -> Corpus:
    """The file's documents as ids, from <text>.ids.npy where that is still right."""
    ids_path, offsets_path, key_path = (text.with_suffix(end) for end in (".ids.npy", ".offsets.npy", ".key"))
    key = key_of(text, tokenizer_path)
    if not (key_path.exists() and key_path.read_text() == key):
        tokenizer = Tokenizer.from_file(str(tokenizer_path))
        assert tokenizer.get_vocab_size() <= 1 << 16
        parts, lengths, stream = [], [], documents(text)
        while texts := list(islice(stream, batch)):
            for encoded in tokenizer.encode_batch_fast(texts, add_special_tokens=False):
                parts.append(np.asarray(encoded.ids, dtype=np.uint16))
                lengths.append(len(encoded))
        assert parts, f"{text} holds no documents"
        save(ids_path, np.concatenate(parts))
        save(offsets_path, np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]))
        key_path.write_text(key)
    return Corpus(np.load(ids_path, mmap_mode="r"), np.load(offsets_path))


def save(path: Path, array: np.ndarray) -> None:
    """Whole or not at all."""
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        np.save(file, array)
    os.replace(part, path)
