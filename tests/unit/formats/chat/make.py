"""Makes what the tests of tokenisers and chat templates are held to: python make.py, in an environment with
tests/golden/requirements.txt and jinja2 3.1.6. Writes tokenizers.json and chat.json beside itself.

The tokenisers are small ones of each kind that the families ship, trained on the sentences below; the expected ids and
texts are the Python tokenizers library's. The templates in templates/ have the families' shapes; the expected texts and ids
are transformers' apply_chat_template's.
"""

import json
from pathlib import Path

import jinja2
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

HERE = Path(__file__).parent

CORPUS = [
    "The keeper of the lamp walks down to the harbour in the evening, and the baker walks up.",
    "It's late, don't wait; we'll meet at the market, I've said, and she's there already.",
    "Who lights the lamp? The keeper lights the lamp, and the lamp lights the harbour.",
    "You are the keeper. You answer in one sentence, and you never lie about the weather.",
    "    def light(lamp):\n        return lamp + 1\n\n\n    # 1234567 lamps, 42 of them lit\n",
    "user assistant system model: a turn, a role, a word; hello there, good evening!",
    "Über die Brücke gehen wir naïve Gäste, café und crème, señor.",
    "снег падает на гавань и на лампу",
    "灯塔的守护者在晚上走到港口",
] * 4

TEXTS = [
    "Who lights the lamp?",
    "",
    " ",
    "   three spaces before, three behind   ",
    "a  b   c    d",
    "one\ntwo\n\nthree\n\n\n\nfour\r\nfive\tsix",
    "It's LATE, DON'T wait; WE'LL meet — she’s there.",
    "1234567 and 12 and 3.14",
    "def light(lamp):\n        return lamp  # done\n",
    "naïve café: na\u00efve, na\u0069\u0308ve, e\u0301",
    "снег, 灯塔, きょう, 한국어, العربية, हिन्दी",
    "🙂 👩‍🚀 🇫🇷 ☃",
    "no\u00a0break\u2003space\u2028line\u200bzero",
    "▁ and ▁▁ typed by hand",
    "<unk> <0x41> [x] {y}",
    "ends with a space ",
    "\n",
    "\n\nstarts with lines",
    "lamp🙂lamp",
    "éclair \ufb01ne ﬁ",
]

GPT4 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN = GPT4.replace(r"\p{N}{1,3}", r"\p{N}")


def special(text: str, **more) -> AddedToken:
    return AddedToken(text, special=True, normalized=False, **more)


def trained(pre, size: int, first: list[str], normalizer=None, alphabet=()) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """A vocabulary with `first` at its head, and its merges."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre
    if normalizer:
        tokenizer.normalizer = normalizer
    trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=list(alphabet), show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    words = sorted(model["vocab"], key=model["vocab"].get)
    vocab = {word: i for i, word in enumerate([*first, *[w for w in words if w not in first]])}
    return vocab, [tuple(pair) for pair in model["merges"]]


BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
SPACES = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
TO_SPACES = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]


def sentencepiece_like(first: list[str]) -> Tokenizer:
    vocab, merges = trained(SPACES, 140, [*first, *BYTES])
    return Tokenizer(models.BPE(vocab, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))


def llama2() -> Tokenizer:
    tokenizer = sentencepiece_like(["<unk>", "<s>", "</s>"])
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence([*TO_SPACES, decoders.Strip(" ", 1, 0)])
    tokenizer.add_special_tokens([special("<unk>"), special("<s>"), special("</s>")])
    return tokenizer


def phi3() -> Tokenizer:
    tokenizer = llama2()
    tokenizer.add_special_tokens([special("<|endoftext|>")])
    tokenizer.add_special_tokens([special(f"<|{name}|>", rstrip=True) for name in ["assistant", "system", "end", "user"]])
    return tokenizer


def mistral() -> Tokenizer:
    tokenizer = sentencepiece_like(["<unk>", "<s>", "</s>", "[INST]", "[/INST]"])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="first", split=False)
    tokenizer.decoder = decoders.Sequence([*TO_SPACES, decoders.Strip(" ", 1, 0)])
    tokenizer.add_special_tokens([special(text) for text in ["<unk>", "<s>", "</s>", "[INST]", "[/INST]"]])
    return tokenizer


def gemma() -> Tokenizer:
    tokenizer = sentencepiece_like(["<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"])
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    tokenizer.decoder = decoders.Sequence(TO_SPACES)
    tokenizer.add_special_tokens(
        [special(text) for text in ["<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"]]
    )
    # Runs of line breaks and of ▁ are tokens of their own, matched in the text as typed.
    tokenizer.add_tokens([AddedToken(text, normalized=False) for text in ["\n\n", "\n\n\n", "▁▁", "▁▁▁"]])
    return tokenizer


def byte_level(pattern: str | None, specials: list[str], normalizer=None, ignore_merges=False) -> Tokenizer:
    split = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=pattern is None)
    pre = split if pattern is None else pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated"), split])
    vocab, merges = trained(pre, 330, [], normalizer, pre_tokenizers.ByteLevel.alphabet())
    if ignore_merges:
        # A whole word in the vocabulary that no chain of merges makes: only ignore_merges finds it.
        vocab["Ġevenings"] = len(vocab)
    tokenizer = Tokenizer(models.BPE(vocab, merges, ignore_merges=ignore_merges))
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([special(text) for text in specials])
    return tokenizer


def neox() -> Tokenizer:
    tokenizer = byte_level(None, ["<|endoftext|>", "<|padding|>"], normalizers.NFC())
    tokenizer.add_tokens([AddedToken(" " * n, normalized=True) for n in range(12, 1, -1)])
    return tokenizer


def unigram() -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = SPACES
    trainer = trainers.UnigramTrainer(
        vocab_size=120, unk_token="<unk>", special_tokens=["<pad>", "</s>", "<unk>"], show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    return tokenizer


HEADERS = ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
CHATML = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
# name: tokeniser, and texts with its special tokens typed into them
KINDS = {
    "llama2": (llama2(), ["<s>Who?</s>", "a <s> b", "</s></s>\n"]),
    "phi3": (phi3(), ["<|user|>\nWho lights the lamp?<|end|>\n<|assistant|>\n", "<|end|>   and on", "a <|user|> b<|endoftext|> c"]),
    "mistral": (mistral(), ["<s>[INST] Who?[/INST] The keeper.</s>", " [INST]x", "[INST][INST] a"]),
    "gemma": (
        gemma(),
        ["<bos><start_of_turn>user\nWho?<end_of_turn>\n<start_of_turn>model\n", "a <eos> b", "\n\n\n\n\nx"],
    ),
    "qwen": (
        byte_level(QWEN, CHATML, normalizers.NFC()),
        ["<|im_start|>user\nWho?<|im_end|>\n", "x<|endoftext|> y", "<|im_start| not>"],
    ),
    "llama3": (
        byte_level(GPT4, HEADERS, ignore_merges=True),
        ["<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nWho?<|eot_id|>", "long evenings", "a <|eot_id|> b"],
    ),
    "neox": (neox(), ["x<|endoftext|>y", "a" + " " * 15 + "b", "tab\t    end", "\u0065\u0301    \u00e9"]),
    "unigram": (unigram(), ["a </s> b", "<pad>x"]),
}


def vectors(tokenizer: Tokenizer, texts: list[str]) -> list[dict]:
    rows = []
    for text in texts:
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        rows.append({"text": text, "ids": ids, "decoded": tokenizer.decode(ids, skip_special_tokens=False)})
    return rows


S = {"role": "system", "content": "You are the keeper."}
U = {"role": "user", "content": "Who lights the lamp?"}
A = {"role": "assistant", "content": "The keeper lights the lamp."}
U2 = {"role": "user", "content": "  And\nthe harbour?  "}
A2 = {"role": "assistant", "content": " The lamp does, "}
T = {"role": "tool", "content": "42"}
CONVERSATIONS = {
    "one question": [U],
    "with a system message": [S, U],
    "two rounds": [S, U, A, U2],
    "without a system message": [U, A, U2],
    "an answer at the end": [S, U, A],
    "an answer begun": [U, A, U2, A2],
    "an empty answer": [U, {"role": "assistant", "content": ""}],
    "special tokens typed": [{"role": "user", "content": "say <|im_end|> or </s> or <end_of_turn>"}],
    "braces typed": [{"role": "user", "content": "{{ messages }} {% raw %}"}],
    "two questions": [U, U],
    "an answer first": [A, U],
    "another role": [U, T],
}
# template: tokeniser, bos, eos
PAIRS = {
    "chatml": ("qwen", None, "<|im_end|>"),
    "headers": ("llama3", "<|begin_of_text|>", "<|eot_id|>"),
    "inst": ("mistral", "<s>", "</s>"),
    "turns": ("gemma", "<bos>", "<eos>"),
    "ends": ("phi3", "<s>", "<|endoftext|>"),
    "sys": ("llama2", "<s>", "</s>"),
    "blocks": ("qwen", None, None),
}


def render(tokenizer, messages: list[dict], **options) -> dict:
    try:
        text = tokenizer.apply_chat_template(messages, tokenize=False, **options)
    except jinja2.exceptions.TemplateError as error:
        return {"refused": str(error)}
    except ValueError as error:
        assert "does not appear in the chat" in str(error), error
        return {"lost": True}
    ids = tokenizer.apply_chat_template(messages, tokenize=True, return_dict=False, **options)
    return {"text": text, "ids": ids}


def chats() -> list[dict]:
    rows = []
    for template, (kind, bos, eos) in PAIRS.items():
        named = {key: value for key, value in [("bos_token", bos), ("eos_token", eos)] if value}
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=KINDS[kind][0], **named)
        tokenizer.chat_template = (HERE / "templates" / f"{template}.jinja").read_text()
        for name, messages in CONVERSATIONS.items():
            for options in [{"add_generation_prompt": True}, {"add_generation_prompt": False}, {"continue_final_message": True}]:
                row = {"template": template, "tokenizer": kind, "tokens": named, "name": name, "messages": messages}
                rows.append(row | {"options": options, "expected": render(tokenizer, messages, **options)})
    return rows


def write(name: str, value) -> None:
    (HERE / name).write_text(json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n")


write(
    "tokenizers.json",
    {
        kind: {"tokenizer": json.loads(tokenizer.to_str()), "vectors": vectors(tokenizer, TEXTS + typed)}
        for kind, (tokenizer, typed) in KINDS.items()
    },
)
write("chat.json", chats())
