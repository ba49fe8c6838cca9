"""One dictionary in training: BatchTopK (Bussmann, Leask & Nanda 2024), whose threshold makes it a JumpReLU when it is used.

    pre = z W_encᵀ + b_enc            z = (x − mean) M, both fixed, taken from the first activations and folded in on export
    a   = pre where it is among the k · batch largest of the batch and above 0, else 0
    ẑ   = a W_dec + b_dec             rows of W_dec of length 1
    loss = mean‖z − ẑ‖² + d/32 · ‖(z − ẑ) − ẑ_aux‖² / ‖z − ẑ‖²

where ẑ_aux is made of the aux_k largest latents a row among those that were silent for `patience` tokens (Gao et al. 2024). With
`groups`, the first loss is the mean over nested prefixes of the latents (Matryoshka, Bussmann et al. 2025): the first ones must do alone.

M = C^(−whiten/2), scaled so that z has a mean length of √d; C is the covariance of the activations around their token's mean. Which word of its kind a
token is takes up little of the stream's variance and what kind it is takes up most; without M the words of a kind share latents for a long time.
The first directions are the tokens' mean activations m, with the encoder of a nearest mean, 2 z·m/|m| − |m|, so that what is rare has a latent from the
start; the rest are activations that lie far from each other. Nothing holds a latent to its token afterwards.

The gradients are written out: a has k of 2,048 numbers a row, and sparse products cost a third of autograd's dense ones on a CPU.
"""

import math
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Plan:
    """What a dictionary is to be. `groups`: widths of nested prefixes that must each explain z alone (Matryoshka); the last is all latents."""

    name: str
    hook: str
    latents: int
    k: int
    groups: tuple[int, ...] = ()
    lr: float = 1e-3
    whiten: float = 1.0
    seeds: str = "tokens"
    aux_k: int = 64
    aux: float = 1 / 32
    patience: int = 100_000
    seed: int = 0

    def as_dict(self) -> dict:
        return asdict(self)


@dataclass(frozen=True)
class Sparse:
    """Active latents of a batch, in order of rows: where they are and how much."""

    rows: Tensor
    cols: Tensor
    values: Tensor

    def times(self, matrix: Tensor, rows: int) -> Tensor:
        """[rows, d]: a · matrix."""
        starts = torch.zeros(rows + 1, dtype=torch.int64)
        starts[1:] = torch.bincount(self.rows, minlength=rows).cumsum(0)
        return torch.sparse_csr_tensor(starts, self.cols, self.values, (rows, len(matrix)), check_invariants=False) @ matrix

    def transposed_times(self, matrix: Tensor, latents: int, values: Tensor | None = None) -> Tensor:
        """[latents, d]: aᵀ · matrix."""
        at = torch.stack([self.cols, self.rows])
        values = self.values if values is None else values
        return torch.sparse_coo_tensor(at, values, (latents, len(matrix)), check_invariants=False) @ matrix

    def where(self, keep: Tensor) -> "Sparse":
        return Sparse(self.rows[keep], self.cols[keep], self.values[keep])


# A token that passed by so often has a mean worth beginning with.
SEEN = 4


def token_means(x: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
    """[tokens, d] mean activation of every token, and how often it passed by [tokens]."""
    times = torch.bincount(ids, minlength=int(ids.max()) + 1)
    sums = torch.zeros(len(times), x.shape[1]).index_add_(0, ids, x)
    return sums / times.clamp(min=1)[:, None], times


def spread(z: Tensor, count: int, seed: int, block: int = 16) -> Tensor:
    """[count, d]: directions of activations that lie far from each other (k-means++, `block` at a time), so that what is rare has a latent from the start."""
    random = torch.Generator().manual_seed(seed)
    rows = F.normalize(z, dim=1)
    far = torch.ones(len(rows))
    picked: list[Tensor] = []
    for start in range(0, count, block):
        at = torch.multinomial(far.square(), min(block, count - start), generator=random)
        picked.append(rows[at])
        far = torch.minimum(far, 1 - (rows @ rows[at].T).amax(1)).clamp(min=0)
    return torch.cat(picked)[torch.randperm(count, generator=random)]


class Dictionary:
    def __init__(self, plan: Plan, first: Tensor, ids: Tensor):
        """`first` [n, d], activations, and the tokens they are of [n]: from them come the fixed centre and mixing and the first directions."""
        self.plan = plan
        self.mean = first.mean(0)
        values, axes = torch.linalg.eigh(torch.cov((first - token_means(first, ids)[0][ids]).T).double())
        strength = values.clamp(min=1e-4 * values.max().item()) ** (-plan.whiten / 2)
        self.mix = ((axes * strength) @ axes.T).float()
        self.mix *= math.sqrt(first.shape[1]) / self.centred(first).norm(dim=1).mean()
        z = self.centred(first)
        means, times = token_means(z, ids)
        seeds = means[times >= SEEN][: plan.latents] if plan.seeds == "tokens" else means[:0]
        seeds = seeds[seeds.norm(dim=1) > 1]
        others = spread(z, plan.latents - len(seeds), plan.seed)
        order = torch.randperm(plan.latents, generator=torch.Generator().manual_seed(plan.seed))
        rows = torch.cat([F.normalize(seeds, dim=1), others])[order]
        lengths = torch.cat([seeds.norm(dim=1), torch.full((len(others),), math.sqrt(first.shape[1]) / 2)])[order]
        self.weights = {
            "W_enc": 2 * rows if len(seeds) else rows.clone(),
            "b_enc": -lengths if len(seeds) else torch.zeros(plan.latents),
            "W_dec": rows.clone(),
            "b_dec": torch.zeros(first.shape[1]),
        }
        self.m = {name: torch.zeros_like(each) for name, each in self.weights.items()}
        self.v = {name: torch.zeros_like(each) for name, each in self.weights.items()}
        self.steps = 0
        self.threshold = 0.0
        self.cut = 0.0
        self.silent = torch.zeros(plan.latents, dtype=torch.int64)
        self.fit(z[:4096])

    def fit(self, z: Tensor) -> None:
        """The first directions overlap: the encoder is made as small as explains z best."""
        guess = self.select(self.pre(z)).times(self.weights["W_dec"], len(z))
        smaller = (guess * z).sum() / guess.square().sum()
        self.weights["W_enc"] *= smaller
        self.weights["b_enc"] *= smaller
        self.cut *= smaller.item()

    # ---- saving
    def state_dict(self) -> dict:
        names = ("mean", "mix", "weights", "m", "v", "steps", "threshold", "cut", "silent")
        return {name: getattr(self, name) for name in names}

    def load_state_dict(self, state: dict) -> None:
        for name, value in state.items():
            setattr(self, name, value)

    # ---- forward
    def centred(self, x: Tensor) -> Tensor:
        return (x - self.mean) @ self.mix

    def pre(self, z: Tensor) -> Tensor:
        return F.linear(z, self.weights["W_enc"], self.weights["b_enc"])

    def select(self, pre: Tensor) -> Sparse:
        """The k · batch largest that are above 0. Candidates are what lies above nine tenths of the last batch's cut."""
        count, flat = self.plan.k * len(pre), pre.flatten()
        at = (flat > max(0.0, 0.9 * self.cut)).nonzero().squeeze(1)
        if len(at) < count:
            at = (flat > 0).nonzero().squeeze(1)
        values = flat[at]
        if len(at) > count:
            keep = values >= values.kthvalue(len(at) - count + 1).values
            at, values = at[keep], values[keep]
        self.cut = values.min().item() if len(values) else 0.0
        return Sparse(at // pre.shape[1], at % pre.shape[1], values)

    def calibrate(self, x: Tensor) -> None:
        """The threshold with which k latents are active at a position of x [n, d], on average."""
        pre = self.pre(self.centred(x)).clamp(min=0).flatten()
        self.threshold = pre.kthvalue(len(pre) - self.plan.k * len(x)).values.item()

    # ---- a step
    def step(self, x: Tensor, rate: float) -> dict[str, float]:
        """One batch x [n, d]; `rate` multiplies the learning rate. Returns FVU of the batch and how many latents have been silent."""
        plan, w, n = self.plan, self.weights, len(x)
        z = self.centred(x)
        pre = self.pre(z)
        a = self.select(pre)
        self.threshold = self.cut if self.steps == 0 else 0.99 * self.threshold + 0.01 * self.cut
        g = {name: torch.zeros_like(each) for name, each in w.items()}
        groups = plan.groups or (plan.latents,)
        d_values, fvu, error = torch.zeros_like(a.values), 0.0, z
        for width in groups:
            inside = a.cols < width if width < plan.latents else None
            part = a if inside is None else a.where(inside)
            error = z - part.times(w["W_dec"], n) - w["b_dec"]
            d_error = error * (-2 / (n * len(groups)))
            g["W_dec"] += part.transposed_times(d_error, plan.latents)
            g["b_dec"] += d_error.sum(0)
            back = (d_error @ w["W_dec"][:width].T)[part.rows, part.cols]
            if inside is None:
                d_values += back
            else:
                d_values[inside] += back
        fvu = (error.square().sum() / (z - z.mean(0)).square().sum()).item()
        g["W_enc"] += a.transposed_times(z, plan.latents, d_values)
        g["b_enc"].index_add_(0, a.cols, d_values)
        self.silent += n
        self.silent[a.cols.unique()] = 0
        dead = (self.silent > plan.patience).nonzero().squeeze(1)
        if len(dead):
            self.revive(z, pre, error, dead, g)
        self.update(g, rate)
        return {"fvu": fvu, "dead": len(dead) / plan.latents, "l0": len(a.values) / n}

    def revive(self, z: Tensor, pre: Tensor, error: Tensor, dead: Tensor, g: dict[str, Tensor]) -> None:
        """AuxK: latents that have been silent explain what the others leave over, as a share of it."""
        w = self.weights
        values, at = pre[:, dead].clamp(min=0).topk(min(self.plan.aux_k, len(dead)), dim=1, sorted=False)
        a = torch.zeros(len(z), len(dead)).scatter_(1, at, values)
        d = (a @ w["W_dec"][dead] - error) * (2 * self.plan.aux / error.square().sum() * z.shape[1])
        d_a = (d @ w["W_dec"][dead].T) * (a > 0)
        g["W_dec"][dead] += a.T @ d
        g["W_enc"][dead] += d_a.T @ z
        g["b_enc"][dead] += d_a.sum(0)

    def update(self, g: dict[str, Tensor], rate: float, betas: tuple[float, float] = (0.9, 0.999)) -> None:
        """Adam; W_dec's gradient without its part along the rows, which are then brought back to length 1."""
        self.steps += 1
        rows = self.weights["W_dec"]
        g["W_dec"] -= (g["W_dec"] * rows).sum(1, keepdim=True) * rows
        for name, weight in self.weights.items():
            m, v = self.m[name], self.v[name]
            m.lerp_(g[name], 1 - betas[0])
            v.lerp_(g[name].square(), 1 - betas[1])
            size = self.plan.lr * rate / (1 - betas[0] ** self.steps)
            weight.addcdiv_(m, (v / (1 - betas[1] ** self.steps)).sqrt_().add_(1e-8), value=-size)
        rows /= rows.norm(dim=1, keepdim=True)
