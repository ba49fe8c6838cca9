"""Makes fixtures/lenses: a tuned lens and a Jacobian lens as their authors' code saves them, of a model 3 wide: python make_lenses.py, with requirements.txt.

tuned/ is tuned-lens's folder (tuned_lens/nn/lenses.py, TunedLens.save: config.json and the state dict of its list of translators); jacobian_lens.pt the dictionary of
fp16 matrices by layer with what it was made from. The numbers tell where they stand: layer + row/10 + column/100, biases layer + row/10.
"""

import json
from pathlib import Path

import torch

HERE = Path(__file__).parent / "fixtures" / "lenses"
D, LAYERS = 3, 2


def matrix(layer: int) -> torch.Tensor:
    return torch.tensor([[layer + row / 10 + column / 100 for column in range(D)] for row in range(D)])


def main() -> None:
    (HERE / "tuned").mkdir(parents=True, exist_ok=True)
    translators = torch.nn.ModuleList([torch.nn.Linear(D, D) for _ in range(LAYERS)])
    with torch.no_grad():
        for layer, translator in enumerate(translators):
            translator.weight.copy_(matrix(layer))
            translator.bias.copy_(matrix(layer)[:, 0])
    torch.save(translators.state_dict(), HERE / "tuned" / "params.pt")
    config = {
        "base_model_name_or_path": "tiny/gpt2-odd",
        "d_model": D,
        "num_hidden_layers": LAYERS,
        "bias": True,
        "base_model_revision": None,
        "unembed_hash": "0" * 64,
        "lens_type": "linear_tuned_lens",
    }
    (HERE / "tuned" / "config.json").write_text(json.dumps(config) + "\n")
    lens = {"J": {layer: matrix(layer).half() for layer in (2, 0)}, "n_prompts": 8, "source_layers": [0, 2], "d_model": D}
    torch.save(lens, HERE / "jacobian_lens.pt")


if __name__ == "__main__":
    main()
