"""Hub ids: the files of a Hugging Face repository that a pipeline is loaded from.

The repository's listing decides what is downloaded: first the files that describe the pipeline,
then the weights that will be read, all of one commit. huggingface_hub decides where its cache is,
and about tokens and endpoints.
"""

import re
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from spqr_tests import files, quotes
from spqr_tests.checkpoint.backbones.backbone import Backbone
from spqr_tests.checkpoint.formats import component_folder, hub_refusal, shards
from spqr_tests.errors import InputError

_PART = "[A-Za-z0-9_][A-Za-z0-9._-]*"
_ID = re.compile(f"({_PART}/{_PART})(?:@(.*))?")
_REVISION = re.compile("[A-Za-z0-9_][A-Za-z0-9._/-]*")
_LONGEST = 96
# The hub's own rules, and the ends of file names: a missing file is not meant as a repository.
_NO_ENDINGS = ("-", ".", ".git", ".safetensors", ".ckpt", ".pt", ".pth", ".bin", ".json", ".toml")
_BRANCH = "main"
_INDEX, _MODULAR = "model_index.json", "modular_model_index.json"
_DESCRIPTIONS = (".json", ".txt", ".model")
_LIBRARIES = ["diffusers", "transformers", "kolors"]
_TOKENIZERS = ("Tokenizer", "TokenizerFast")
_WEIGHTLESS = (*_TOKENIZERS, "Scheduler")
_AT_ONCE = 8
_ONCE = "Run once with network access and without HF_HUB_OFFLINE."


@dataclass(frozen=True)
class HubId:
    """A repository, `ORG/NAME`, and a branch, a tag or a commit of it."""

    repository: str
    revision: str = _BRANCH

    def __str__(self) -> str:
        """The id as the user would write it."""
        return self.repository if self.revision == _BRANCH else f"{self.repository}@{self.revision}"


@dataclass(frozen=True)
class Snapshot:
    """A pipeline `folder` in the cache, at the commit `revision` (40 hex digits).

    Its files are links into `root`: the repository's folder in the cache, or the whole cache if the
    library shares files among repositories.
    """

    folder: Path
    root: Path
    revision: str


def parse(target: str) -> HubId | None:
    """The hub id that `target` looks like, or None.

    The caller must first check that there is no such path. Raises `InputError` for an id with an
    impossible revision.
    """
    match = _ID.fullmatch(target)
    if match is None:
        return None
    repository, revision = match.groups()
    if (
        len(repository) > _LONGEST
        or repository.endswith(_NO_ENDINGS)
        or re.search(r"--|\.\.", repository)
    ):
        return None
    if revision is None:
        return HubId(repository)
    if not _REVISION.fullmatch(revision) or ".." in revision:
        raise InputError(
            f"--model {target}: {quotes.shown(revision)} is not a revision; put a branch, a tag"
            " or a commit"
            " after the @."
        )
    return HubId(repository, revision)


def snapshot(
    hub_id: HubId,
    *,
    offline_only: bool,
    allow_pickle: bool,
    check_index: Callable[[Path], object] | None = None,
    check: Callable[[Path, Path], object] | None = None,
    weights: bool = True,
    endpoint: str | None = None,
    cache: Path | None = None,
) -> Snapshot:
    """The files of a repository that its pipeline is loaded from, in the cache.

    With `offline_only` or HF_HUB_OFFLINE the network is not used, and the weights are chosen among
    the cached ones. `check_index` is called with the folder once it holds the pipeline's index,
    `check` with folder and root after its description has been fetched and before its weights are;
    both may raise an error. Without `weights` none are downloaded, but those in the cache are used.
    `endpoint` and `cache` override HF_ENDPOINT and HF_HUB_CACHE. Raises `InputError`.
    """
    from huggingface_hub import constants
    from huggingface_hub.utils.tqdm import disable_progress_bars

    kept = files.place(cache or constants.HF_HUB_CACHE, Path.cwd(), "HF_HUB_CACHE")
    with warnings.catch_warnings():
        # The library warns of disk space, links and its settings; what matters ends in an error.
        warnings.simplefilter("ignore")
        disable_progress_bars()
        if offline_only or constants.HF_HUB_OFFLINE:
            repository: _Repository = _Cached(hub_id, kept)
        else:
            repository = _Online(hub_id, kept, endpoint)
        repository.fetch([_INDEX])
        if check_index is not None:
            check_index(repository.folder)
        names = _describe(repository)
        if check is not None:
            check(repository.folder, _root(repository, names, kept))
        if weights:
            names += _fetch_weights(repository, allow_pickle=allow_pickle)
        else:
            names += [name for name in repository.names if (repository.folder / name).is_file()]
    return Snapshot(repository.folder, _root(repository, names, kept), repository.folder.name)


class _Repository(ABC):
    """The files of one commit of a repository; `folder` is the commit's folder in the cache."""

    hub_id: HubId
    folder: Path
    names: Sequence[str]

    @abstractmethod
    def fetch(self, names: Iterable[str]) -> None:
        """Make sure that the folder holds the files of these names."""

    @abstractmethod
    def lacking(self, reason: InputError) -> InputError:
        """The error to raise when no weights can be chosen."""

    def refusal(self, reason: str) -> InputError:
        """An error that names the repository."""
        return InputError(f"--model {self.hub_id}: {reason}")


class _Cached(_Repository):
    """The files of a repository that are in the cache."""

    def __init__(self, hub_id: HubId, cache: Path) -> None:
        from huggingface_hub import try_to_load_from_cache

        self.hub_id = hub_id
        self._cache = cache
        index = try_to_load_from_cache(
            hub_id.repository, _INDEX, cache_dir=cache, revision=hub_id.revision
        )
        if not isinstance(index, str):
            raise self._missing(_INDEX)
        self.folder = Path(index).parent
        self.names = sorted(
            str(path.relative_to(self.folder).as_posix())
            for path in self.folder.rglob("*")
            if path.is_file()
        )

    def fetch(self, names: Iterable[str]) -> None:
        for name in names:
            if not (self.folder / name).is_file():
                raise self._missing(name)

    def lacking(self, reason: InputError) -> InputError:
        return self.refusal(
            f"the cache {self._cache} does not hold all that is needed of its revision"
            f" {self.hub_id.revision}: {reason} {_ONCE}"
        )

    def _missing(self, name: str) -> InputError:
        return self.refusal(
            f"{name} of its revision {self.hub_id.revision} is not in the cache {self._cache}, and"
            f" this run downloads nothing. {_ONCE}"
        )


class _Online(_Repository):
    """The files that the hub lists; missing ones are downloaded into the cache."""

    def __init__(self, hub_id: HubId, cache: Path, endpoint: str | None) -> None:
        self.hub_id = hub_id
        self._cache = cache
        self._endpoint = endpoint
        commit, self.names = self._listing()
        if _INDEX not in self.names:
            raise self.refusal(self._without_index())
        # Downloaded by the revision's name, so that the cache records which commit it is.
        self.folder = self._download(_INDEX, hub_id.revision).parent
        if self.folder.name != commit:
            raise self.refusal(
                f"its revision {hub_id.revision} moved while it was read, from {commit} to"
                f" {self.folder.name}; run again, or name a commit after an @."
            )

    def fetch(self, names: Iterable[str]) -> None:
        names = list(names)
        for name in names:
            if name not in self.names:
                raise self.refusal(f"the repository has no {name}, which its pipeline needs.")
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for _ in pool.map(lambda name: self._download(name, self.folder.name), names):
                pass

    def lacking(self, reason: InputError) -> InputError:
        return reason

    def _listing(self) -> tuple[str, list[str]]:
        from huggingface_hub import HfApi, constants

        try:
            api = HfApi(endpoint=self._endpoint)
            info = api.model_info(
                self.hub_id.repository,
                revision=self.hub_id.revision,
                timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT,
            )
        except Exception as error:  # releases of the library and of its HTTP client differ
            raise self._refused(error, "the listing of its files") from error
        if not info.sha or info.siblings is None:
            raise self.refusal("the hub does not list its files.")
        return info.sha, sorted(sibling.rfilename for sibling in info.siblings)

    def _download(self, name: str, revision: str) -> Path:
        from huggingface_hub import hf_hub_download

        try:
            path = hf_hub_download(
                self.hub_id.repository,
                name,
                revision=revision,
                cache_dir=self._cache,
                endpoint=self._endpoint,
            )
        except Exception as error:  # as above
            raise self._refused(error, name) from error
        return Path(path)

    def _without_index(self) -> str:
        if _MODULAR in self.names:
            return (
                f"the repository holds a modular pipeline ({_MODULAR}), whose code may come from"
                f" anywhere; pass the id of one that has a {_INDEX}."
            )
        single = [name for name in self.names if name.endswith((".safetensors", ".ckpt"))]
        if single:
            return (
                f"the repository holds no pipeline ({_INDEX}), only files such as {single[0]};"
                " download the one that you mean and pass its path as --model."
            )
        return (
            f"the repository holds no pipeline: it has no {_INDEX}. Pass the id of a diffusers"
            " pipeline."
        )

    def _refused(self, error: Exception, what: str) -> InputError:
        from huggingface_hub import constants

        url = f"{(self._endpoint or str(constants.ENDPOINT)).rstrip('/')}/{self.hub_id.repository}"
        return self.refusal(
            hub_refusal.sentence(
                error, what, url=url, revision=self.hub_id.revision, cache=self._cache
            )
        )


def _describe(repository: _Repository) -> list[str]:
    """Fetch the components' configs and vocabularies; return their names and the index's."""
    names = [_INDEX]
    for component, (_, class_name) in _components(repository).items():
        if not class_name.endswith(_TOKENIZERS):
            names.append(
                f"{component}/{'scheduler_' if class_name.endswith('Scheduler') else ''}config.json"
            )
        # Indexes of shards are fetched with their weights: an index alone would count as weights.
        names += [
            f"{component}/{name}"
            for name in _files(repository, component)
            if name.endswith(_DESCRIPTIONS) and ".index." not in name
        ]
    names = sorted(set(names))
    repository.fetch(names)
    return names


def _fetch_weights(repository: _Repository, *, allow_pickle: bool) -> list[str]:
    """Fetch the files that the components' tensors are read from; return their names."""
    chosen = []
    for component, (library, class_name) in _components(repository).items():
        if not class_name.endswith(_WEIGHTLESS):
            # For messages: named as the user knows it, because the file is not in the cache yet.
            folder = Path(str(repository.hub_id)) / component
            try:
                path = component_folder.choose(
                    folder, _files(repository, component), library, allow_pickle=allow_pickle
                )
            except InputError as error:
                raise repository.lacking(error) from error
            chosen.append(f"{component}/{path.name}")
    indexes = [name for name in chosen if name.endswith(".json")]
    repository.fetch(indexes)
    names = [name for name in chosen if name not in indexes]
    for name in indexes:
        component = name.partition("/")[0]
        names += [f"{component}/{shard}" for shard in shards.named(repository.folder / name)]
    repository.fetch(names)
    return indexes + names


def _components(repository: _Repository) -> dict[str, tuple[str, str]]:
    """Library and class of the components that may be loaded, by name."""
    found = {}
    for name, entry in files.json_object(repository.folder / _INDEX).items():
        if (
            name.isidentifier()
            and name not in Backbone.left_out
            and isinstance(entry, list)
            and len(entry) == 2
        ):
            library, class_name = entry
            if library in _LIBRARIES and isinstance(class_name, str):
                found[name] = (library, class_name)
    return found


def _files(repository: _Repository, component: str) -> list[str]:
    """Names of the files in a component's folder."""
    inside = [
        name.removeprefix(f"{component}/")
        for name in repository.names
        if name.startswith(f"{component}/")
    ]
    return [name for name in inside if "/" not in name]


def _root(repository: _Repository, names: Iterable[str], cache: Path) -> Path:
    own = repository.folder.parent.parent.resolve()
    if all((repository.folder / name).resolve().is_relative_to(own) for name in names):
        return own
    return cache.resolve()
