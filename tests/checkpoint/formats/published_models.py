"""Whole models as they are published."""

from tests.checkpoint.formats.originals import original
from tests.checkpoint.formats.published import Command, Rows, Writer, row
from tests.tiny import edit_json
from tests.tiny.families import playground

ROWS: Rows = {}


@row(ROWS, "diffusers pipeline folder")
def _(writer: Writer) -> Command:
    return Command(writer.base("sdxl"), writer.folder_of("sdxl"))


@row(ROWS, "the same with fp16 or bf16 files only")
def _(writer: Writer) -> Command:
    import torch

    pipeline = writer.base("sd3").to(torch.float16)
    pipeline.save_pretrained(writer.folder / "model", variant="fp16")
    assert not list((writer.folder / "model").rglob("diffusion_pytorch_model.safetensors"))
    return Command(pipeline.to(torch.float32), writer.folder / "model")


@row(ROWS, "the same in shards")
def _(writer: Writer) -> Command:
    pipeline = writer.base("flux")
    pipeline.save_pretrained(writer.folder / "model", max_shard_size="40KB")
    assert (
        writer.folder / "model" / "transformer" / "diffusion_pytorch_model.safetensors.index.json"
    ).is_file()
    assert (writer.folder / "model" / "text_encoder" / "model.safetensors.index.json").is_file()
    return Command(pipeline, writer.folder / "model")


@row(ROWS, "the same with `.bin` weights")
def _(writer: Writer) -> Command:
    import torch

    pipeline = writer.base("sd1")
    folder = writer.folder / "model"
    pipeline.save_pretrained(folder, safe_serialization=False)
    # transformers 5 writes safetensors even when it is asked for pickles.
    for path in folder.rglob("*.safetensors"):
        path.unlink()
    torch.save(pipeline.text_encoder.state_dict(), folder / "text_encoder" / "pytorch_model.bin")
    return Command(pipeline, folder, pickle=True)


@row(ROWS, "the same as DreamBooth saved it: null switches, a safety checker")
def _(writer: Writer) -> Command:
    pipeline = writer.base("sd1")
    folder = writer.folder / "model"
    pipeline.save_pretrained(folder)
    (folder / "safety_checker").mkdir()
    (folder / "safety_checker" / "config.json").write_text("{}", encoding="utf-8")
    edit_json(
        folder / "model_index.json",
        lambda table: table.update(
            requires_safety_checker=None,
            safety_checker=["stable_diffusion", "StableDiffusionSafetyChecker"],
            feature_extractor=["transformers", "CLIPFeatureExtractor"],
        ),
    )
    return Command(pipeline, folder)


@row(ROWS, "the same of SDXL base 1.0: `add_watermarker` null")
def _(writer: Writer) -> Command:
    pipeline = writer.base("sdxl")
    pipeline.save_pretrained(writer.folder / "model")
    edit_json(
        writer.folder / "model" / "model_index.json",
        lambda table: table.update(add_watermarker=None),
    )
    return Command(pipeline, writer.folder / "model")


@row(ROWS, "the same of SDXL Turbo, or with LCM's scheduler")
def _(writer: Writer) -> Command:
    from diffusers import LCMScheduler

    pipeline = writer.base("sdxl")
    pipeline.register_modules(scheduler=LCMScheduler.from_config(pipeline.scheduler.config))
    pipeline.save_pretrained(writer.folder / "model")
    return Command(pipeline, writer.folder / "model")


@row(ROWS, "single file, Stable Diffusion 1.x")
def _(writer: Writer) -> Command:
    return _single(writer, "sd1")


@row(ROWS, "single file, Stable Diffusion 2.x")
def _(writer: Writer) -> Command:
    return _single(writer, "sd2")


@row(ROWS, "single file, SDXL")
def _(writer: Writer) -> Command:
    return _single(writer, "sdxl")


@row(ROWS, "single file, Playground 2.5")
def _(writer: Writer) -> Command:
    pipeline = playground.PLAYGROUND.make()
    pipeline.save_pretrained(writer.folder / "configs")
    return Command(
        pipeline,
        writer.safetensors(original(pipeline, "playground")),
        config=str(writer.folder / "configs"),
    )


@row(ROWS, "single file, SD3 and SD3.5 with both CLIP encoders")
def _(writer: Writer) -> Command:
    pipeline = writer.base("sd3")
    pipeline.register_modules(text_encoder_3=None, tokenizer_3=None)
    pipeline.save_pretrained(writer.folder / "configs")
    return Command(
        pipeline,
        writer.safetensors(original(pipeline, "sd3")),
        config=str(writer.folder / "configs"),
    )


@row(ROWS, "single `.ckpt`")
def _(writer: Writer) -> Command:
    pipeline = writer.base()
    content = {"state_dict": original(pipeline, "sd1"), "global_step": 10, "epoch": 1}
    return Command(
        pipeline,
        writer.pickle(content, "model.ckpt"),
        config=str(writer.folder_of("sd1")),
        pickle=True,
    )


@row(ROWS, "single `.ckpt` with EMA copies and a schedule")
def _(writer: Writer) -> Command:
    import torch

    pipeline = writer.base()
    tensors = original(pipeline, "sd1")
    start = "model.diffusion_model."
    copies = {
        f"model_ema.{name.removeprefix(start).replace('.', '')}": tensor + 1
        for name, tensor in tensors.items()
        if name.startswith(start)
    }
    schedule = {"betas": torch.zeros(1000), "alphas_cumprod": torch.zeros(1000)}
    content = {"state_dict": tensors | copies | schedule, "global_step": 10}
    return Command(
        pipeline,
        writer.pickle(content, "model.ckpt"),
        config=str(writer.folder_of("sd1")),
        pickle=True,
    )


def _single(writer: Writer, name: str) -> Command:
    # A tiny model is not a published architecture, so it always needs its configs.
    pipeline = writer.base(name)
    return Command(
        pipeline, writer.safetensors(original(pipeline, name)), config=str(writer.folder_of(name))
    )
