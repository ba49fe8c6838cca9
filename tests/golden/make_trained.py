"""Makes the trained dictionaries: python make_trained.py [name …], with torch, transformers, safetensors; node at hand. Two minutes.

Small dictionaries that were really trained, each under conventions of its own, so that a test can read them under wrong ones and see what
becomes of it (contract-check.test.ts). They read the demo world's model, changed to be as awkward as published models are; trained.ts repeats it:
- every position embedding has a number of its own added to all of its entries. LayerNorm does not see it; but the stream is far from centred.
- the gains of ln_2 of block 2 are uneven, and the matrix that follows makes up for it.
- the first position is massive, as where a model rests its attention: a BOS takes it, or else the first word.
"""

import json
import math
import subprocess
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import AutoTokenizer, GPT2LMHeadModel

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
DEMO = ROOT / "public/demo/lanternwick"
OUT = HERE / "fixtures/trained"
D, CONTEXT = 128, 64
SPARSITY = 0.2
torch.set_num_threads(1)


def lean(position: int) -> float:
    return 12 * math.sin(1.7 * position)


def uneven(i: int) -> float:
    return math.exp(1.2 * math.sin(2.3 * i))


MASSIVE, ENTRY = 2000, 5


def model():
    found = GPT2LMHeadModel.from_pretrained(DEMO, dtype=torch.float32).eval()
    with torch.no_grad():
        wpe = found.transformer.wpe.weight
        for p in range(wpe.shape[0]):
            wpe[p] += lean(p)
        wpe[0, ENTRY] += MASSIVE
        block = found.transformer.h[2]
        into = block.mlp.c_fc.weight
        for i in range(D):
            block.ln_2.weight[i] *= uneven(i)
            block.ln_2.bias[i] *= uneven(i)
            into[i] /= uneven(i)
        for each in (wpe, block.ln_2.weight, block.ln_2.bias, into):
            each.copy_(each.half().float())
    return found


def rows(texts: int = 500):
    """What stands at each place, special tokens left out: the stream after layer 3, and a norm's output with what its MLP makes of it."""
    said = subprocess.run(
        ["node", "tools/world/run.mjs", "sample", "--seed", "7", "--count", str(texts)], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    documents = [each.split("\n", 1)[1].strip() for each in said.split("── ")[1:]]
    tokenizer = AutoTokenizer.from_pretrained(DEMO)
    run = model()
    seen = {"stream": [], "ln2": [], "mlp": []}
    block = run.transformer.h[2]
    hooks = [
        run.transformer.h[3].register_forward_hook(lambda _m, _i, o: seen["stream"].append((o[0] if isinstance(o, tuple) else o)[:, 1:])),
        block.ln_2.register_forward_hook(lambda _m, _i, o: seen["ln2"].append(o[:, 1:])),
        block.mlp.register_forward_hook(lambda _m, _i, o: seen["mlp"].append(o[:, 1:])),
    ]
    kept = []
    with torch.no_grad():
        for at in range(0, len(documents), 64):
            some = [[0, *tokenizer(each, add_special_tokens=False)["input_ids"]][:CONTEXT] for each in documents[at : at + 64]]
            longest = max(map(len, some))
            # Padded at the end: attention is causal, so nothing before it knows.
            run(torch.tensor([ids + [0] * (longest - len(ids)) for ids in some]))
            kept.append(torch.tensor([[p < len(ids) for p in range(1, longest)] for ids in some]))
    for each in hooks:
        each.remove()
    return {name: torch.cat([part[mask] for part, mask in zip(parts, kept)]) for name, parts in seen.items()}


def normalised(x, contract):
    """x̂, and what undoes it."""
    if contract["normalisation"] == "layer_norm":
        mean, std = x.mean(-1, keepdim=True), x.std(-1, keepdim=True)
        return (x - mean) / (std + 1e-5), lambda y: y * std + mean
    mean = x.mean(-1, keepdim=True) if contract["residual"] == "centred" else 0
    scale = contract["scale"]
    return (x - mean) * scale, lambda y: y / scale + mean


class Dictionary(torch.nn.Module):
    def __init__(self, latents, contract, activation, k, target):
        super().__init__()
        start = torch.nn.functional.normalize(torch.randn(latents, D), dim=-1)
        # Rows of many lengths, where a convention is about their length.
        if contract["rescaleByDecoderNorm"]:
            start = start * torch.exp(2 * torch.randn(latents, 1))
        self.lengths = start.norm(dim=-1, keepdim=True)
        self.W_dec = torch.nn.Parameter(start)
        self.W_enc = torch.nn.Parameter(start.clone() / start.norm(dim=-1, keepdim=True) ** 2)
        self.b_enc = torch.nn.Parameter(torch.zeros(latents))
        self.b_dec = torch.nn.Parameter(target.mean(0).clone())
        self.contract, self.activation, self.k = contract, activation, k
        self.threshold = None

    def encode(self, x):
        if self.contract["subtractBDec"]:
            x = x - self.b_dec
        pre = torch.relu(x @ self.W_enc.T + self.b_enc)
        norms = self.W_dec.norm(dim=-1) if self.contract["rescaleByDecoderNorm"] else 1
        pre = pre * norms
        if self.activation == "topk":
            value, at = pre.topk(self.k, dim=-1)
            pre = torch.zeros_like(pre).scatter(-1, at, value)
        elif self.activation == "jumprelu":
            if self.threshold is None:
                # BatchTopK: as many active ones as k a row, wherever they stand.
                least = pre.flatten().topk(self.k * len(pre)).values[-1]
                self.least = least.detach() if not hasattr(self, "least") else 0.99 * self.least + 0.01 * least.detach()
                pre = pre * (pre >= least)
            else:
                pre = pre * (pre > self.threshold)
        return pre / norms

    def forward(self, x):
        a = self.encode(x)
        return a, a @ self.W_dec + self.b_dec


BASE = {
    "residual": "raw",
    "normalisation": "none",
    "scale": 1,
    "subtractBDec": True,
    "rescaleByDecoderNorm": False,
    "reshape": "none",
    "prependBos": True,
}
STREAM = "blocks.3.hook_resid_post"
CASES = {
    "relu-raw": dict(activation="relu", contract={}),
    "relu-scaled": dict(activation="relu", contract={"normalisation": "scale"}),
    "relu-centred": dict(activation="relu", contract={"residual": "centred"}),
    "topk-layernorm": dict(activation="topk", k=16, contract={"normalisation": "layer_norm"}),
    "topk-rescaled": dict(activation="topk", k=16, contract={"rescaleByDecoderNorm": True}),
    "jumprelu-whole": dict(activation="jumprelu", k=16, contract={"subtractBDec": False}),
    "topk-transcoder": dict(activation="topk", k=24, contract={"subtractBDec": False, "normGain": True}),
}


def make(name, seen, latents=256, steps=1500):
    torch.manual_seed(list(CASES).index(name))
    case = CASES[name]
    contract = {**BASE, **case["contract"]}
    activation, k = case["activation"], case.get("k")
    transcoder = bool(contract.get("normGain"))
    x, y = (seen["ln2"], seen["mlp"]) if transcoder else (seen["stream"], seen["stream"])
    if contract["normalisation"] == "scale":
        contract["scale"] = round(float(math.sqrt(D) / x.norm(dim=-1).mean()), 6)
    inner, _ = normalised(x, contract)
    # Trained at length √d, whatever the contract; every step but the norm's is homogeneous, so the biases take the size on afterwards.
    size = 1 if contract["normalisation"] != "none" or transcoder else float(inner.norm(dim=-1).mean() / math.sqrt(D))
    inner = inner / size
    target = y if transcoder else inner
    mean = target.mean(0)
    spread = (target - mean).pow(2).sum(-1).mean()
    sae = Dictionary(latents, contract, activation, k, target)
    with torch.no_grad():
        # Started at the data's size; a latent is of length 1 in what it reads.
        sae.W_enc.mul_(0.5)
    optimizer = torch.optim.Adam(sae.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda i: min(1, i / 100) * min(1, (steps - i) / (0.3 * steps)))
    length = target.sub(mean).norm(dim=-1).mean()
    for _ in range(steps):
        at = torch.randint(len(x), (512,))
        a, out = sae(inner[at])
        loss = (out - target[at]).pow(2).sum(-1).mean() / spread
        if activation == "relu":
            loss = loss + SPARSITY * (a * sae.W_dec.norm(dim=-1)).sum(-1).mean() / length
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if contract["rescaleByDecoderNorm"]:
            with torch.no_grad():
                sae.W_dec.mul_(sae.lengths / sae.W_dec.norm(dim=-1, keepdim=True))
    with torch.no_grad():
        for each in (sae.b_enc, sae.b_dec):
            each.mul_(size)
        for each in (sae.W_enc, sae.W_dec):
            each.copy_(each.half())
        if activation == "jumprelu":
            sae.threshold = torch.full((latents,), float(sae.least) * size)
        a, out = sae(inner * size)
        back = out if transcoder else normalised(x, contract)[1](out)
        fvu = float((y - back).pow(2).sum() / (y - y.mean(0)).pow(2).sum())
        l0 = float((a > 0).sum(-1).float().mean())
    stored = {n: (p.half() if p.ndim == 2 else p).detach().contiguous() for n, p in sae.named_parameters()}
    if sae.threshold is not None:
        stored["threshold"] = sae.threshold
    spec = {
        "kind": {"relu": "ReLU", "topk": "TopK", "jumprelu": "JumpReLU"}[activation] + (" transcoder" if transcoder else ""),
        "activation": activation,
        **({"k": k} if activation == "topk" else {}),
        "hookIn": "blocks.2.ln2.hook_normalized" if transcoder else STREAM,
        "hookOut": "blocks.2.hook_mlp_out" if transcoder else STREAM,
        "dIn": D,
        "dOut": D,
        "latents": latents,
        "skip": False,
        "contract": contract,
    }
    OUT.mkdir(parents=True, exist_ok=True)
    save_file(stored, OUT / f"{name}.safetensors")
    (OUT / f"{name}.json").write_text(json.dumps({"spec": spec, "promised": {"fvu": round(fvu, 4), "l0": round(l0, 2)}}, indent=2) + "\n")
    print(f"{name}: fvu {fvu:.4f}, l0 {l0:.1f}, rows {len(x)}", flush=True)


if __name__ == "__main__":
    seen = rows()
    print({n: (tuple(t.shape), float(t.norm(dim=-1).mean()), float(t.mean(-1).std())) for n, t in seen.items()}, flush=True)
    for name in sys.argv[1:] or CASES:
        make(name, seen)
