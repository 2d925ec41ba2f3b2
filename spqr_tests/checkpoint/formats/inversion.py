"""Files of textual inversion: whose they are, the words in them, and the encoders they are for."""

from collections.abc import Sequence

from spqr_tests import quotes
from spqr_tests.checkpoint.formats import kinds
from spqr_tests.checkpoint.formats.tensor import ModelTensor, StoredTensor, TensorFile
from spqr_tests.checkpoint.parts import Parts
from spqr_tests.checkpoint.words import Word
from spqr_tests.errors import InputError

NAMES = (
    ("learned_embeds.safetensors", "learned_embeds_2.safetensors"),
    ("learned_embeds.bin", "learned_embeds_2.bin"),
)
"""What diffusers' trainers save for the first text encoder, and for the second."""
_PIPELINES = ("StableDiffusionPipeline", "StableDiffusionXLPipeline")
_ENCODERS = {"clip_l": "text_encoder", "clip_g": "text_encoder_2"}
_UNNAMED = {"*", "emb_params", "clip_l", "clip_g"}
"""Names of tensors that are no words: the web user interfaces take the file's."""
_MOST = 75
"""Tokens of a prompt without its beginning and end."""


def encoder_widths(parts: Parts) -> dict[str, int]:
    """The width of the words of each text encoder; {} where there are no weights."""
    return {
        name: tensor.shape[-1]
        for name, model in parts.models.items()
        if name.startswith("text_encoder")
        for key, tensor in model.tensors.items()
        if key.endswith(("token_embedding.weight", "shared.weight"))
    }


def read(files: Sequence[TensorFile], parts: Parts) -> list[Word]:
    """The words in files that belong together; [] where they are no embeddings of the base's width.

    `InputError` for a word that is known already, has no name, or lacks one of the encoders.
    """
    widths = encoder_widths(parts)
    if parts.pipeline_class not in _PIPELINES or not all(
        (given := kinds.inversion_widths(file.tensors, widths.values()))
        and {*given} <= {*widths.values()}
        for file in files
    ):
        return []
    found: dict[str, dict[str, ModelTensor]] = {}
    for file in files:
        for stored in file.tensors.values():
            word, encoder = _word(file, stored), _encoder(file, stored, widths)
            vectors = found.setdefault(word, {})
            if encoder in vectors:
                raise InputError(
                    f"{file.path} holds two tensors of {quotes.shown(word)} for the {encoder}; put"
                    " each word into its own file."
                )
            shape = (stored.shape[0] if len(stored.shape) == 2 else 1, widths[encoder])
            if not 0 < shape[0] <= _MOST:
                raise InputError(
                    f"{file.path}: {quotes.shown(word)} has {shape[0]} vectors, and a prompt has"
                    f" {_MOST} tokens."
                )
            vectors[encoder] = ModelTensor(file, stored, shape)
    for word, vectors in found.items():
        _check(files[0], word, vectors, parts, widths)
    return [Word(word, vectors) for word, vectors in found.items()]


def _word(file: TensorFile, stored: StoredTensor) -> str:
    name = stored.name.removeprefix("string_to_param.")
    return file.path.stem if name in _UNNAMED else name


def _encoder(file: TensorFile, stored: StoredTensor, widths: dict[str, int]) -> str:
    """The text encoder that vectors are for: by their name, else by their width."""
    width = stored.shape[-1]
    named = _ENCODERS.get(stored.name)
    fitting = [name for name in widths if widths[name] == width and named in (None, name)]
    if len(fitting) != 1:
        raise InputError(
            f"{file.path} does not say which text encoder {stored.name} is for: it has the width"
            f" {width}, and {' and '.join(f'the {name} {one}' for name, one in widths.items())}."
        )
    return fitting[0]


def _check(
    file: TensorFile,
    word: str,
    vectors: dict[str, ModelTensor],
    parts: Parts,
    widths: dict[str, int],
) -> None:
    if not word or not word.isprintable() or any(letter.isspace() for letter in word):
        raise InputError(
            f"{file.path} is an embedding of textual inversion for the word {quotes.shown(word)}; a"
            " word has no spaces: rename the file."
        )
    if missing := widths.keys() - vectors.keys():
        raise InputError(
            f"{file.path} is an embedding of textual inversion for the"
            f" {' and '.join(sorted(vectors))} alone, and the base's {min(missing)} reads prompts"
            " too; pass a file with clip_l and clip_g, or the folder with both of diffusers' files."
        )
    if any(
        parts.tokenizers[name.replace("text_encoder", "tokenizer")].knows(word) for name in widths
    ) or any(word == other.text for other in parts.words):
        raise InputError(
            f"{file.path} is an embedding of textual inversion for the word {quotes.shown(word)},"
            " which the base's tokenizer knows already; give it a name that is no word."
        )
