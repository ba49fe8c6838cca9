"""What a case of a dictionary is, how its numbers are drawn, and how it is checked and written.

Weights come from NumPy's Philox generator, whose stream is the same everywhere, rounded to the type they are stored in. Decoder rows
have norms from a half to two, and nothing is zero, tied or transposable by accident, so that a wrong convention shows.
"""

import json
import shutil
import tempfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from dictionaries import canonical
from dictionaries.canonical import Spec, Tensors

ROOT = Path(__file__).parent.parent / "fixtures" / "dictionaries"
D_IN, D_OUT, LATENTS, K = 20, 28, 52, 7
ROWS = 7
# The rows of x that stand for massive activations, and one that is nearly nothing (LayerNorm's eps shows in it).
MASSIVE, FAINT = (2, 5), 3
# Of a row's largest pre-activation: nearer than this to another set of active latents, and the next seed is tried.
MARGIN = 2e-4
# Of a row's largest value: what every mistake must move somewhere.
BITE = 1e-3

# Of a row: what two orders of summing in float64 may differ by.
EXACT = 1e-11
# In the form of tests/reference/dictionary-edits.ts.
EDITS = (
    {"latent": 3, "op": "set", "value": 4.5, "strength": 1},
    {"latent": 17, "op": "scale", "value": -2, "strength": 1},
    {"latent": 40, "op": "add", "value": 1.25, "strength": 1},
)

Run = Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]


class Draw:
    def __init__(self, seed: int):
        self.rng = np.random.Generator(np.random.Philox(seed))

    def normal(self, *shape: int, by: float = 1.0, mean: float = 0.0, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        return torch.from_numpy(mean + by * self.rng.standard_normal(shape)).to(dtype)

    def weights(
        self, activation: str, d_in: int = D_IN, d_out: int = D_IN, latents: int = LATENTS, skip: bool = False, dtype: torch.dtype = torch.float32
    ) -> Tensors:
        """Canonical tensors: latents are rows."""
        norms = torch.from_numpy(np.exp(0.4 * self.rng.standard_normal((latents, 1))))
        decoder = torch.from_numpy(self.rng.standard_normal((latents, d_out)))
        w = {
            "W_enc": self.normal(latents, d_in, by=1.2 / d_in**0.5, dtype=dtype),
            "W_dec": (decoder / decoder.norm(dim=-1, keepdim=True) * norms).to(dtype),
            "b_dec": self.normal(d_out, by=0.5, mean=0.2, dtype=dtype),
        }
        if activation == "gated":
            names = {"b_gate": (0.4, -0.4), "b_mag": (0.4, 0.1), "r_mag": (0.3, 0.2)}
        else:
            names = {"b_enc": (0.4, -0.3)}
        w |= {name: self.normal(latents, by=by, mean=mean, dtype=dtype) for name, (by, mean) in names.items()}
        if activation == "jumprelu":
            w["threshold"] = (0.1 + 0.6 * torch.from_numpy(self.rng.random(latents))).to(dtype)
        if skip:
            w["W_skip"] = self.normal(d_out, d_in, by=0.5 / d_in**0.5, dtype=dtype)
        return w

    def inputs(self, d_in: int) -> torch.Tensor:
        x = self.rng.standard_normal((ROWS, d_in)) + 0.6 * self.rng.standard_normal(d_in)
        x[list(MASSIVE)] *= 40
        x[FAINT] *= 0.01
        # One massive coordinate, as trained models have on their first position.
        x[0, 3] += 60
        return torch.from_numpy(x).float()


@dataclass
class Made:
    """A case as its builder leaves it: files in the folder, what they mean, and the library that answers for them."""

    spec: Spec
    # What a reader should come to, as the files hold it (any stored type).
    canonical: Tensors
    # x [n, d_in] of float64 to (activations [n, latents], reconstruction [n, d_out]) of float64.
    run: Run
    # Other libraries' readings of the very files, by name, which must agree.
    also: dict[str, Run] = field(default_factory=dict)
    # The library's own folding of decoder norms, where it has one.
    folded: Run | None = None
    # (scale, run): where the files say that a scale is wanted and do not hold it.
    scaled: tuple[float, Run] | None = None
    # The library's own edit of latents with the error term kept: EDITS in force in every row.
    edited: Callable[[torch.Tensor], torch.Tensor] | None = None
    # What the library scores itself at, x being the target too, under the names of tests/reference/dictionary-scores.ts.
    scores: Callable[[torch.Tensor], dict[str, float]] | None = None
    # Fields of the spec that the files do not say.
    assumed: tuple[str, ...] = ()
    note: str = ""
    # How near the library comes to the canonical form; where it rounds tensors on their way in, the canonical form's numbers are the expected ones.
    tolerance: float = EXACT
    # Two latents tie by construction: the margin is not asked for.
    ties: bool = False
    # Misreadings of this format alone, as the canonical tensors they come to.
    wrong: dict[str, Tensors] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    name: str
    format: str
    # What computed the numbers, and what wrote the files.
    oracle: str
    writer: str
    build: Callable[[Draw, Path], Made] = field(repr=False)


CASES: list[Case] = []


def case(name: str, *, format: str, oracle: str, writer: str | None = None):
    def register(build: Callable[[Draw, Path], Made]):
        CASES.append(Case(name, format, oracle, writer or oracle, build))
        return build

    return register


def close(name: str, found: torch.Tensor, wanted: torch.Tensor, tolerance: float = EXACT) -> None:
    assert found.shape == wanted.shape, f"{name}: {tuple(found.shape)} for {tuple(wanted.shape)}"
    size = wanted.abs().amax(dim=-1, keepdim=True).clamp(min=1e-30)
    worst = ((found - wanted).abs() / size).max().item()
    assert worst <= tolerance, f"{name}: the canonical form is {worst:.1e} of a row from the library"


def bites(made: Made, w: Tensors, x: torch.Tensor, right: tuple[torch.Tensor, torch.Tensor]) -> None:
    own = [(name, made.spec, w | {key: value.double() for key, value in tensors.items()}, True) for name, tensors in made.wrong.items()]
    for name, wrong_spec, wrong_w, unbiased in [*canonical.mistakes(made.spec, w), *own]:
        wrong = canonical.run(wrong_spec, wrong_w, x, unbiased)
        moved = max(((a - b).abs().amax(-1) / b.abs().amax(-1).clamp(min=1e-30)).max().item() for a, b in zip(wrong, right, strict=True))
        assert moved > BITE, f"“{name}” moves nothing by more than {moved:.1e}"


def attempt(each: Case, seed: int, files: Path) -> tuple[Made, dict[str, torch.Tensor], float] | None:
    """The case from one seed, or None where its numbers come too near a decision."""
    draw = Draw(seed)
    made = each.build(draw, files)
    w = {name: value.double() for name, value in made.canonical.items()}
    x = draw.inputs(w["W_enc"].shape[1])
    margin = canonical.margin(made.spec, w, x.double())
    if margin < MARGIN and not made.ties:
        return None
    with torch.no_grad():
        acts, out = made.run(x.double())
    assert acts.dtype == torch.float64 and out.dtype == torch.float64, f"{each.name}: not in float64"
    right = canonical.run(made.spec, w, x.double())
    if not made.ties:
        close(f"{each.name}: activations", acts, right[0], made.tolerance)
        close(f"{each.name}: reconstruction", out, right[1], made.tolerance)
        assert torch.equal(acts != 0, right[0] != 0), f"{each.name}: other active latents"
    for name, other in made.also.items():
        with torch.no_grad():
            for what, found, wanted in zip(("activations", "reconstruction"), other(x.double()), right, strict=True):
                close(f"{each.name}: {what} of {name}", found, wanted)
    active = (acts != 0).sum(-1)
    assert (active > 0).sum() >= ROWS - 1 and active.max() < acts.shape[-1], f"{each.name}: {active.tolist()} active"
    bites(made, w, x.double(), right)
    exact = not made.ties and made.tolerance == EXACT
    expected = {"x": x, "activations": acts if exact else right[0], "reconstruction": out if exact else right[1]}
    with torch.no_grad():
        if made.folded:
            expected["folded_activations"], again = made.folded(x.double())
            close(f"{each.name}: the folded reconstruction", again, out, made.tolerance)
        if made.edited:
            expected["edited"] = made.edited(x.double())
        if made.scaled:
            expected["scaled_activations"], expected["scaled_reconstruction"] = made.scaled[1](x.double())
    return made, expected, margin


def make(each: Case) -> None:
    first = 100 * (zlib.crc32(each.name.encode()) % 10_000)
    for seed in range(first, first + 100):
        with tempfile.TemporaryDirectory() as scratch:
            files = Path(scratch) / "files"
            files.mkdir()
            found = attempt(each, seed, files)
            if found:
                write(each, seed, files, *found)
                return
    raise AssertionError(f"{each.name}: no seed from {first} on keeps clear of decisions")


def write(each: Case, seed: int, files: Path, made: Made, expected: dict[str, torch.Tensor], margin: float) -> None:
    folder = ROOT / each.name
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(files, folder / "files")
    spec, w = made.spec, made.canonical
    latents, d_in = w["W_enc"].shape
    json_spec = {
        "activation": spec.activation,
        **({"k": spec.k} if spec.k is not None else {}),
        "hookIn": spec.hook_in,
        "hookOut": spec.out,
        "dIn": d_in,
        "dOut": w["b_dec"].shape[0],
        "latents": latents,
        "skip": "W_skip" in w,
        "contract": spec.contract.json(),
    }
    about = {
        "name": each.name,
        "format": each.format,
        "writer": each.writer,
        "oracle": each.oracle,
        **({"also": list(made.also)} if made.also else {}),
        "seed": seed,
        "files": sorted(str(path.relative_to(files)) for path in files.rglob("*") if path.is_file()),
        "spec": json_spec,
        "assumed": list(made.assumed),
        **({"scaledBy": made.scaled[0]} if made.scaled else {}),
        **({"edits": EDITS} if made.edited else {}),
        **({"scores": made.scores(expected["x"].double())} if made.scores else {}),
        **({"ties": True} if made.ties else {}),
        "margin": float(f"{margin:.3g}"),
        **({"note": made.note} if made.note else {}),
    }
    (folder / "case.json").write_text(json.dumps(about, indent=1, ensure_ascii=False) + "\n")
    save_file({name: value.float().contiguous() for name, value in expected.items()}, folder / "expected.safetensors")
