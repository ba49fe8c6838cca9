"""Tiny random sentence encoders as ONNX folders, with the vectors that transformers and PyTorch give for some texts: python make_embedders.py, with
requirements-embedders.txt.

fixtures/embedders/<case>/: the folder as Hugging Face publishes such models (config.json, tokenizer.json, tokenizer_config.json, onnx/…, 1_Pooling/config.json), and in
case.json the texts and, for each pooling, their vectors [texts, width]: one text at a time, in float64, pooled and brought to length 1. The graph is what torch.onnx
makes of the model in float32; bert-quantized's is the same one after onnxruntime's dynamic quantisation, as the published `model_quantized.onnx` are.
"""

import json
import os
import shutil
import sys
import warnings
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
sys.dont_write_bytecode = True
warnings.simplefilter("ignore")

import onnx
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast, RobertaConfig, RobertaModel

ROOT = Path(__file__).parent / "fixtures" / "embedders"
VOCAB, BYTE_VOCAB = 200, 340
TEXTS = [
    "fires on the names of ships",
    "words about the sea and its weather",
    "a",
    "Numbers, dates; and (sometimes) prices: 1,250!",
    "CAFÉ naïve Ünïcode — the end of a sentence.",
    "",
    "closing brackets after a long list of words that goes on and on until nobody remembers what it was about in the first place, and then on",
]


def common(words: list[str], count: int) -> list[str]:
    """Trainers break ties as they like; this list is the same every time."""
    return sorted(set(words), key=lambda word: (-words.count(word), word))[:count]


def wordpiece() -> Tokenizer:
    """BERT's: lower case without accents, [CLS] … [SEP]."""
    normalizer, split = normalizers.BertNormalizer(lowercase=True), pre_tokenizers.BertPreTokenizer()
    words = [word for text in TEXTS for word, _ in split.pre_tokenize_str(normalizer.normalize_str(text))]
    letters = sorted(set("".join(words)))
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{each}" for each in letters), "##ing", "##es", "##ed"]
    pieces += [word for word in common(words, VOCAB) if word not in pieces][: VOCAB - len(pieces)]
    pieces += [f"[unused{n}]" for n in range(VOCAB - len(pieces))]
    tokenizer = Tokenizer(models.WordPiece({piece: n for n, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer, tokenizer.decoder = normalizer, split, decoders.WordPiece()
    tokenizer.add_special_tokens(pieces[:5])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0", pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return tokenizer


def byte_pairs() -> Tokenizer:
    """RoBERTa's: bytes, case kept, <s> … </s>. Each common word is merged from its start on."""
    split = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words = [word for text in TEXTS for word, _ in split.pre_tokenize_str(text)]
    pieces = ["<s>", "<pad>", "</s>", "<unk>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    merges: list[tuple[str, str]] = []
    for word in common(words, 24):
        for cut in range(1, min(len(word), 5)):
            if word[: cut + 1] not in pieces:
                merges.append((word[:cut], word[cut]))
                pieces.append(word[: cut + 1])
    pieces += [f"<unused{n}>" for n in range(BYTE_VOCAB - len(pieces))]
    tokenizer = Tokenizer(models.BPE({piece: n for n, piece in enumerate(pieces)}, merges, unk_token="<unk>"))
    tokenizer.pre_tokenizer, tokenizer.decoder = split, decoders.ByteLevel()
    tokenizer.add_special_tokens(pieces[:4])
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), trim_offsets=True, add_prefix_space=False)
    return tokenizer


def bert() -> tuple:
    torch.manual_seed(11)
    config = BertConfig(
        vocab_size=VOCAB,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=24,
        initializer_range=0.3,
        attn_implementation="eager",
    )
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}
    return BertModel(config, add_pooling_layer=False), wordpiece(), names, ["input_ids", "attention_mask", "token_type_ids"], 24


def roberta() -> tuple:
    torch.manual_seed(12)
    config = RobertaConfig(
        vocab_size=BYTE_VOCAB,
        hidden_size=24,
        num_hidden_layers=1,
        num_attention_heads=3,
        intermediate_size=40,
        max_position_embeddings=34,
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
        type_vocab_size=1,
        initializer_range=0.3,
        attn_implementation="eager",
    )
    names = {"pad_token": "<pad>", "unk_token": "<unk>", "cls_token": "<s>", "sep_token": "</s>", "bos_token": "<s>", "eos_token": "</s>"}
    # Two positions are not for tokens: RoBERTa counts from the padding's id on.
    return RobertaModel(config, add_pooling_layer=False), byte_pairs(), names, ["input_ids", "attention_mask"], 32


class Graph(torch.nn.Module):
    """The model as a function of its inputs in their order."""

    def __init__(self, model, inputs):
        super().__init__()
        self.model, self.inputs = model, inputs

    def forward(self, *given):
        return self.model(**dict(zip(self.inputs, given))).last_hidden_state


def export(model, inputs: list[str], most: int, path: Path) -> None:
    example = torch.ones((2, 7), dtype=torch.int64)
    batch, length = torch.export.Dim("batch_size"), torch.export.Dim("sequence_length", max=most)
    shapes = tuple({0: batch, 1: length} for _ in inputs)
    torch.onnx.export(
        Graph(model.float().eval(), inputs),
        tuple(example.clone() for _ in inputs),
        str(path),
        input_names=inputs,
        output_names=["last_hidden_state"],
        dynamic_shapes=(shapes,),
        dynamo=True,
        external_data=False,
        opset_version=20,
        verbose=False,
    )
    # Traces of the machine and of the source's lines are no part of a model.
    graph = onnx.load(path)
    for node in graph.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in [*graph.graph.value_info, *graph.graph.input, *graph.graph.output, *graph.graph.initializer]:
        del value.metadata_props[:]
    del graph.metadata_props[:], graph.graph.metadata_props[:], graph.functions[:]
    onnx.checker.check_model(graph)
    onnx.save(graph, path)


def pooled(hidden: torch.Tensor, pooling: str) -> torch.Tensor:
    row = hidden[0] if pooling == "cls" else hidden.mean(0)
    return row / row.norm()


def write(name: str, made: tuple, pooling: str | None, quantized: bool = False) -> None:
    model, tokenizer, names, inputs, most = made
    folder = ROOT / name
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "onnx").mkdir(parents=True)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=most, **names)
    fast.save_pretrained(folder)
    model.config.save_pretrained(folder)
    if pooling is not None:
        (folder / "1_Pooling").mkdir()
        words = {"cls": "pooling_mode_cls_token", "mean": "pooling_mode_mean_tokens", "max": "pooling_mode_max_tokens"}
        says = {"word_embedding_dimension": model.config.hidden_size, **{key: pooling == mode for mode, key in words.items()}}
        (folder / "1_Pooling" / "config.json").write_text(json.dumps(says, indent=2) + "\n")
    plain = folder / "onnx" / "model.onnx"
    export(model, inputs, most, plain)
    if quantized:
        quantize_dynamic(plain, folder / "onnx" / "model_quantized.onnx", weight_type=QuantType.QInt8)
        plain.unlink()
    model = model.double().eval()
    ids = [fast(text, truncation=True, max_length=most)["input_ids"] for text in TEXTS]
    with torch.no_grad():
        hidden = [model(torch.tensor([row])).last_hidden_state[0] for row in ids]
    vectors = {mode: [[round(x, 9) for x in pooled(each, mode).tolist()] for each in hidden] for mode in ("mean", "cls")}
    (folder / "case.json").write_text(json.dumps({"texts": TEXTS, "ids": ids, "most": most, "vectors": vectors}) + "\n")
    model.float()


if __name__ == "__main__":
    write("bert-mean", bert(), None)
    write("roberta-cls", roberta(), "cls")
    write("bert-quantized", bert(), "mean", quantized=True)
