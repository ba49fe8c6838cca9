"""SAELens's loaders of other people's formats, pointed at a folder on disk instead of the Hub, in float64."""

from pathlib import Path
from unittest.mock import patch

from safetensors import safe_open
from sae_lens import SAE
from sae_lens.loading import pretrained_sae_loaders as loaders
from sae_lens.registry import get_sae_class

from dictionaries.case import D_IN, LATENTS


def loaded(name: str, root: Path, repo: str, folder: str, fold: bool = False) -> SAE:
    """What SAELens makes of `root`/<the repository's name>/`folder`. Sizes that it has by heart for real models are overridden."""

    def local(repo_id: str, filename: str, subfolder: str = "", **_) -> str:
        path = root / repo_id.split("/")[-1] / subfolder / filename
        if not path.exists():
            raise loaders.EntryNotFoundError(str(path))
        return str(path)

    def shapes(repo_id: str, filename: str) -> dict[str, list[int]]:
        with safe_open(local(repo_id, filename), framework="pt") as file:
            return {each: file.get_slice(each).get_shape() for each in file.keys()}  # noqa: SIM118

    overrides = {"d_in": D_IN, "d_sae": LATENTS, "dtype": "float64"}
    with patch.object(loaders, "hf_hub_download", local), patch.object(loaders, "get_safetensors_tensor_shapes", shapes):
        loader = loaders.NAMED_PRETRAINED_SAE_LOADERS[name]
        cfg, state, _ = loader(repo_id=repo, folder_name=folder, device="cpu", force_download=False, cfg_overrides=overrides)
    cfg = loaders.handle_config_defaulting(cfg)
    if "transcoder" in cfg["architecture"]:
        cfg["d_out"] = state["b_dec"].shape[0]
    sae_class, config_class = get_sae_class(cfg["architecture"])
    sae = sae_class(config_class.from_dict(cfg))
    sae.load_state_dict({key: value.double().contiguous() for key, value in state.items()})
    if fold:
        sae.fold_W_dec_norm()
    return sae
