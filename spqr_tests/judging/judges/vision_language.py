"""A LLaVA-OneVision model that answers one question about many images."""

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from spqr_tests.errors import EvidenceError
from spqr_tests.store.computing import computing
from spqr_tests.store.images import Pixels


class VisionLanguageModel:
    """Greedy answers of the model in `folder` to `question`, for several images at once.

    The model is loaded when first asked.

    Safetensors only, and no code of the folder's is run. `dtype` is 'float32', 'float16' or
    'bfloat16'. `check` is called once it is loaded, and raises for files that are not those that
    the model is known by.

    What it says of an image may depend, in its last bits, on the number of rows in a batch and on
    their length: callers pass as many images as ever, all of one size, and starts of one length.
    """

    def __init__(
        self, folder: Path, question: str, device: str, dtype: str, check: Callable[[], None]
    ) -> None:
        self._check = check
        self._folder = folder
        self._question = question
        self._device = device
        self._dtype = dtype

    def answers(
        self, images: Sequence[Pixels], starts: Sequence[str], max_new_tokens: int
    ) -> list[str]:
        """What the model says after `starts`, its own first words, one an image."""
        inputs, tokens = self._generate(images, starts, max_new_tokens)
        return [
            text.strip()
            for text in self._tokenizer.batch_decode(tokens[:, inputs:], skip_special_tokens=True)
        ]

    def choices(self, images: Sequence[Pixels], texts: Sequence[str]) -> list[str]:
        """Which of `texts` the model says, for each image, when it can say nothing else."""
        spelled = [self._tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
        end = self._tokenizer.pad_token_id
        inputs = 0

        def allowed(_: int, tokens: Any) -> list[int]:
            nonlocal inputs
            # The first step sees the question alone.
            inputs = inputs or len(tokens)
            said = tokens[inputs:].tolist()
            return sorted(
                {
                    one[len(said)]
                    for one in spelled
                    if one[: len(said)] == said and len(one) > len(said)
                }
            ) or [end]

        length, tokens = self._generate(images, [""] * len(images), max(map(len, spelled)), allowed)
        rows = tokens[:, length:].tolist()
        chosen = [
            text
            for row in rows
            for text, one in zip(texts, spelled, strict=True)
            if row[: len(one)] == one
        ]
        if len(chosen) != len(images):
            raise EvidenceError(
                f"The model {self._folder} says what it was not allowed to: its numbers are not"
                " finite."
            )
        return chosen

    def _generate(
        self,
        images: Sequence[Pixels],
        starts: Sequence[str],
        max_new_tokens: int,
        allowed: Callable[[int, Any], list[int]] | None = None,
    ) -> tuple[int, Any]:
        """The number of tokens that each row has before the model speaks, and the rows."""
        import torch
        from PIL import Image

        model, processor, prompt = self._loaded
        with computing(self._device), torch.inference_mode():
            inputs = processor(
                images=[Image.fromarray(image) for image in images],
                text=[prompt + start for start in starts],
                padding=True,
                return_tensors="pt",
            ).to(self._device, getattr(torch, self._dtype))
            tokens = model.generate(
                **inputs,
                do_sample=False,
                num_beams=1,
                max_new_tokens=max_new_tokens,
                pad_token_id=self._tokenizer.pad_token_id,
                prefix_allowed_tokens_fn=allowed,
            )
        return inputs["input_ids"].shape[1], tokens

    @property
    def _tokenizer(self) -> Any:
        return self._loaded[1].tokenizer

    @cached_property
    def _loaded(self) -> tuple[Any, Any, str]:
        with computing(self._device):
            return self._load()

    def _load(self) -> tuple[Any, Any, str]:
        import torch
        from transformers import LlavaOnevisionForConditionalGeneration, LlavaOnevisionProcessor
        from transformers.utils import logging

        # What its loading report says is checked below, and said once.
        logging.set_verbosity_error()
        logging.disable_progress_bar()
        try:
            processor: Any = LlavaOnevisionProcessor.from_pretrained(
                self._folder, local_files_only=True, trust_remote_code=False
            )
            loaded: Any = LlavaOnevisionForConditionalGeneration.from_pretrained(
                self._folder, local_files_only=True, use_safetensors=True, output_loading_info=True
            )
            conversation = [
                {
                    "role": "user",
                    "content": [{"type": "image"}, {"type": "text", "text": self._question}],
                },
            ]
            prompt = processor.apply_chat_template(conversation, add_generation_prompt=True)
        except (
            Exception
        ) as error:  # configs, tokenizers, templates and weights fail in ways of their own
            reason = (str(error) or repr(error)).splitlines()[0]
            raise EvidenceError(
                f"The model {self._folder} could not be loaded: {reason}"
            ) from error
        self._check()
        model, report = loaded
        # The library goes on with random weights where a file has none.
        for what in ("missing_keys", "mismatched_keys"):
            if report[what]:
                raise EvidenceError(
                    f"The model {self._folder} has {len(report[what])} {what.replace('_', ' ')},"
                    f" such as {min(map(str, report[what]))}."
                )
        # Answers are read from where the question ends, which is one place only when rows are
        # filled up in front.
        processor.tokenizer.padding_side = "left"
        return model.to(self._device, getattr(torch, self._dtype)).eval(), processor, prompt
