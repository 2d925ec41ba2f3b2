"""The files of a model of transformers: the user's folder, or a hub repository at one commit."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from spqr_tests import files, quotes
from spqr_tests.checkpoint.formats import hub, hub_refusal
from spqr_tests.errors import InputError
from spqr_tests.store import digest

_WEIGHTS = ".safetensors"
_SUFFIXES = (_WEIGHTS, ".json", ".jinja", ".txt")
_CONFIG = "config.json"
_DATA = "data:"


@dataclass(frozen=True)
class ModelFiles:
    """A folder with configs, tokenizer, processor and safetensors weights."""

    folder: Path
    commit: str | None
    """40 hex digits for a hub repository."""
    fingerprint: str
    """SHA-256 (hex) over the files, or over repository and commit, which settle them."""

    def require_unchanged(self) -> None:
        """`InputError` when a folder's files are not those of the fingerprint any more."""
        if self.commit is None and _content(self.folder) != self.fingerprint:
            raise InputError(
                f"The model {self.folder} was replaced after the run began: its files are not those"
                " that it is known by. Run again."
            )


def find(
    named: str,
    revision: str,
    model_type: str | None,
    judge: str,
    locate: Callable[[str], Path],
    *,
    endpoint: str | None = None,
    cache: Path | None = None,
) -> ModelFiles:
    """The model that a judge's settings name.

    Downloads what the hub's cache lacks. `InputError` when that is not possible. `model_type` is
    what its config must be of; None for anything.

    `endpoint` and `cache` replace HF_ENDPOINT and HF_HUB_CACHE.
    """
    where = f"The judge {judge} names the model {named}"
    folder = locate(named)
    if folder.is_dir():
        files = ModelFiles(folder, None, _content(folder))
    elif named.startswith(_DATA) or (hub_id := hub.parse(named)) is None:
        raise InputError(f"{where}: there is no folder {folder}, and it is not a hub id.")
    else:
        folder = _fetched(hub_id.repository, revision, where, endpoint, cache)
        files = ModelFiles(folder, folder.name, digest.of_json([hub_id.repository, folder.name]))
    _check(files.folder, model_type, where)
    return files


def _content(folder: Path) -> str:
    own = [path for path in folder.rglob("*") if path.suffix in _SUFFIXES and path.is_file()]
    return digest.of_files(folder, own)


def _fetched(
    repository: str, revision: str, where: str, endpoint: str | None, cache: Path | None
) -> Path:
    """The folder of one commit in the cache, with all that is read of it."""
    from huggingface_hub import HfApi, constants, hf_hub_download, try_to_load_from_cache
    from huggingface_hub.utils.tqdm import disable_progress_bars

    kept = files.place(cache or constants.HF_HUB_CACHE, Path.cwd(), "HF_HUB_CACHE")
    if constants.HF_HUB_OFFLINE:
        config = try_to_load_from_cache(repository, _CONFIG, cache_dir=kept, revision=revision)
        if not isinstance(config, str):
            raise InputError(
                f"{where}: its revision {revision} is not in the cache {kept}, and HF_HUB_OFFLINE"
                " is set; run once without it."
            )
        return Path(config).parent
    disable_progress_bars()
    what = "the listing of its files"
    try:
        info = HfApi(endpoint=endpoint).model_info(
            repository, revision=revision, timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT
        )
        found = []
        for what in sorted(one.rfilename for one in info.siblings or [] if _is_read(one.rfilename)):
            # The config comes by the revision's name, so that the cache learns which commit that
            # is.
            by = revision if what == _CONFIG else info.sha
            path = Path(
                hf_hub_download(repository, what, revision=by, cache_dir=kept, endpoint=endpoint)
            )
            found.append(path.parents[what.count("/")])
    except (
        Exception
    ) as error:  # each release of the library, and of what it talks with, has its own
        url = f"{(endpoint or str(constants.ENDPOINT)).rstrip('/')}/{repository}"
        raise InputError(
            f"{where}: {hub_refusal.sentence(error, what, url=url, revision=revision, cache=kept)}"
        ) from error
    if not found:
        raise InputError(f"{where}: the repository has no model that transformers reads.")
    if len(set(found)) > 1:
        raise InputError(
            f"{where}: its revision {revision} moved while it was read; run again, or name a commit"
            " as revision."
        )
    return found[0]


def _is_read(name: str) -> bool:
    # Weights of other programs are in folders; a processor's parts may be, too.
    return name.endswith(_SUFFIXES) and ("/" not in name or not name.endswith(_WEIGHTS))


def _check(folder: Path, model_type: str | None, where: str) -> None:
    found = files.json_object(folder / _CONFIG, f"{where}:").get("model_type")
    if model_type is not None and found != model_type:
        raise InputError(
            f"{where}: its {_CONFIG} is of the type {quotes.shown(found)}; expected {model_type!r}."
        )
    if not any(folder.glob(f"*{_WEIGHTS}")):
        raise InputError(f"{where}: {folder} has no .safetensors file, and pickles are not read.")
