"""Families of models that are known but not measured: named by pipeline class or by tensors."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

_NEVER = r"(?!)"
_PREFIX = r"(?:model\.diffusion_model\.|diffusion_model\.|transformer\.|unet\.|net\.|model\.)?"


@dataclass(frozen=True)
class Family:
    """A text-to-image family: how diffusers calls its pipelines, and names that only it has.

    Both are regular expressions (fullmatch). The tensors are those of its denoiser, in its authors'
    names or in diffusers'.
    """

    name: str
    pipelines: str
    tensors: str = _NEVER
    file: str = ""
    """What a single file of it is, if that is not the whole model."""
    folder: bool = False
    """Whether it is measured, from a pipeline's folder."""
    transformer: bool = False
    """Whether its transformer, in a file with its authors' names, is read as an overlay."""


# The order matters where one pattern is a part of another.
TEXT_TO_IMAGE = (
    Family("Kolors", _NEVER, r"encoder_hid_proj\.(?:weight|bias)", folder=True),
    Family(
        "Chroma",
        r"Chroma(?!Pipeline$).*",
        r"distilled_guidance_layer\..*",
        folder=True,
        transformer=True,
    ),
    Family(
        "FLUX.2",
        r"Flux2(?!KleinPipeline$).*",
        r"(?:single_stream_modulation|double_stream_modulation_(?:img|txt))\..*",
        folder=True,
        transformer=True,
    ),
    Family("FLUX.3", r"Flux3.*", r"early_stream_modulations\..*"),
    Family(
        "Qwen-Image",
        r"QwenImage(?!Pipeline$).*",
        r"transformer_blocks\.\d+\.(?:img|txt)_mod\.1\..*|txt_in\.text_norm\..*",
        folder=True,
        transformer=True,
    ),
    Family(
        "Z-Image",
        r"ZImage(?!Pipeline$).*",
        r"all_(?:x_embedder|final_layer)\..*|layers\.0\.adaLN_modulation\.0\.weight",
        folder=True,
        transformer=True,
    ),
    Family(
        "Lumina",
        r"Lumina(?!2Pipeline$).*",
        r"cap_embedder\.\d\..*|time_caption_embed\..*",
        folder=True,
        transformer=True,
    ),
    Family("HiDream", r"HiDream.*", r"(?:double|single)_stream_blocks\.\d+\.block\..*"),
    Family(
        "AuraFlow",
        _NEVER,
        r"double_layers\.\d+\.attn\.w\d[qkvo]\..*|cond_seq_linear\..*|joint_transformer_blocks\..*",
        folder=True,
        transformer=True,
    ),
    Family("Sana Sprint", r"SanaSprint.*"),
    Family(
        "Sana",
        _NEVER,
        r".*\.(?:inverted_conv|conv_inverted)\..*|attention_y_norm\..*",
        folder=True,
        transformer=True,
    ),
    Family("HunyuanImage", r"HunyuanImage.*", r"byt5_in\..*"),
    Family("Hunyuan-DiT", r"HunyuanDiT.*", r"mlp_t5\..*|text_embedding_padding"),
    Family("PixArt-Alpha", r"PixArtAlpha.*"),
    Family(
        "PixArt",
        _NEVER,
        r"y_embedder\.y_proj\..*|t_block\..*|caption_projection\..*|adaln_single\..*",
        folder=True,
    ),
    Family(
        "Stable Cascade",
        r"StableCascade.*|Wuerstchen.*",
        r"(?:clip_txt_mapper|clip_mapper|clip_txt_pooled_mapper|effnet_mapper)\..*",
        "a stage of Stable Cascade",
    ),
    Family("Kandinsky", r"Kandinsky.*"),
    Family("DeepFloyd IF", r"IF(?:Pipeline|[A-Z].*)"),
    Family("CogView", r"CogView.*"),
    Family("Bria", r"Bria.*"),
    Family("OmniGen", r"OmniGen.*"),
    Family("Krea 2", r"Krea2.*", r"txtfusion\..*"),
    Family("aMUSEd", r"Amused.*"),
    Family("PRX", r"PRX.*"),
    Family("GLM-Image", r"GlmImage.*"),
    Family("LongCat-Image", r"LongCatImage.*"),
    Family("Ovis-Image", r"OvisImage.*"),
    Family("ERNIE-Image", r"ErnieImage.*"),
    Family("Nucleus-Image", r"NucleusMoE.*"),
    Family("DreamLite", r"DreamLite.*"),
    Family("Anima", r"Anima[A-Z].*"),
    Family("Ideogram", r"Ideogram.*"),
    Family("Cosmos", r"Cosmos2TextToImage.*"),
    Family("AltDiffusion", r"AltDiffusion.*"),
    Family("unCLIP", r"(?:Stable)?UnCLIP.*", r"noise_augmentor\..*"),
    Family("Versatile Diffusion", r"VersatileDiffusion.*|UniDiffuser.*"),
    Family("latent diffusion", r"LDMTextToImage.*|VQDiffusion.*"),
)
_EDM = "a model with EDM's noise schedule that predicts velocity, such as CosXL"
_EDM_TENSORS = r"edm_vpred\..*"
"""What its single files hold besides their weights."""

# What a pipeline is for, where that is not images from text alone.
_USES = (
    (
        (
            r".*(?:Video|2V|I2V|Animat|World|PIA).*|(?:Wan|CogVideoX|Mochi|LTX|Allegro|Latte|Helios)"
            r".*|SkyReels.*|ConsisID.*|LucyEdit.*"
        ),
        "generates video",
    ),
    (r".*(?:Audio|Music|Spectrogram|Dance|AceStep).*", "generates sound"),
    (r".*(?:Inpaint|Fill|Outpaint|RePaint|PaintByExample).*", "fills in a part of a picture"),
    (r".*(?:Upscale|SuperResolution|Upsample|Refiner).*|.*SRPipeline", "enlarges a picture"),
    (
        r".*(?:Edit|Pix2Pix|Kontext|CycleDiffusion).*",
        "edits a picture",
    ),
    (
        r".*(?:ControlNet|Adapter|Control|GLIGEN|Depth2Img|BlipDiffusion).*",
        "needs a control picture",
    ),
    (
        r".*(?:Img2Img|I2I|ImageVariation|Redux|VisualCloze|Layered).*|Marigold.*|ShapE.*",
        "starts from a picture",
    ),
    (
        r"(?:DDPM|DDIM|PNDM|LDM|DiT|ScoreSdeVe|KarrasVe|ConsistencyModel)Pipeline",
        "generates images without a text",
    ),
)
_FORMATS = ((r".*Onnx.*", "an export to ONNX"), (r"Flax.*", "for JAX"))
_OWN_SAMPLING = (
    (r"LatentConsistencyModelPipeline", "latent consistency", "StableDiffusionPipeline"),
    (r"StableDiffusionPipelineSafe", "safe latent diffusion", "StableDiffusionPipeline"),
    (r"SemanticStableDiffusionPipeline", "semantic guidance", "StableDiffusionPipeline"),
    (r"StableDiffusionXLPAGPipeline", "perturbed attention", "StableDiffusionXLPipeline"),
    (r"StableDiffusion3PAGPipeline", "perturbed attention", "StableDiffusion3Pipeline"),
    (r"KolorsPAGPipeline", "perturbed attention", "KolorsPipeline"),
    (r"PixArtSigmaPAGPipeline", "perturbed attention", "PixArtSigmaPipeline"),
    (r"SanaPAGPipeline", "perturbed attention", "SanaPipeline"),
    (r"StableDiffusionPAGPipeline", "perturbed attention", "StableDiffusionPipeline"),
    (r"StableDiffusionSAGPipeline", "self-attention guidance", "StableDiffusionPipeline"),
    (r"StableDiffusionPanoramaPipeline", "panoramas", "StableDiffusionPipeline"),
    (r"StableDiffusionAttendAndExcitePipeline", "attend and excite", "StableDiffusionPipeline"),
)
"""Pipelines with the components of a measured one: what they do in sampling, and that one."""


def of_pipeline(pipeline_class: str) -> str:
    """What is known of a pipeline that is not measured, as a sentence; '' for an unknown class."""
    for pattern, way, plain in _OWN_SAMPLING:
        if re.fullmatch(pattern, pipeline_class):
            return (
                f"{pipeline_class} samples in a way of its own ({way}), which is known but not"
                f" supported yet; a copy whose index names {plain} is measured without it."
            )
    for pattern, what in _FORMATS:
        if re.fullmatch(pattern, pipeline_class):
            return f"It is {what}: pass the PyTorch pipeline that it was made from."
    for pattern, does in _USES:
        if re.fullmatch(pattern, pipeline_class):
            return f"{pipeline_class} {does}; only images from text alone are measured."
    for family in TEXT_TO_IMAGE:
        if re.fullmatch(family.pipelines, pipeline_class):
            return not_yet(family.name)
    return ""


def of_tensors(names: Iterable[str]) -> tuple[str, str] | None:
    """A family that is not measured, by its tensors' names, and the first name that tells.

    None when they are of no known family.
    """
    names = list(names)
    for family in TEXT_TO_IMAGE:
        matches = re.compile(f"{_PREFIX}(?:{family.tensors})").fullmatch
        if found := next((name for name in names if matches(name)), None):
            return family.file or family.name, found
    matches = re.compile(_EDM_TENSORS).fullmatch
    if found := next((name for name in names if matches(name)), None):
        return _EDM, found
    return None


def of_file(name: str) -> str:
    """What a single file of a family needs, as the end of a sentence; `name` is the family's."""
    known = [one for one in TEXT_TO_IMAGE if one.name == name and one.folder]
    if any(one.transformer for one in known):
        return (
            "a text-to-image family that is measured, but not from a single file alone: pass its"
            " diffusers folder as --model, and this file as --spqr-overlay if it holds the"
            " transformer"
        )
    if known:
        return (
            "a text-to-image family that is measured, but not from single files: pass its diffusers"
            " folder"
        )
    return (
        "a text-to-image family that is known but not supported yet; single files are read of"
        " Stable Diffusion 1, 2, XL and 3, and of Playground 2.5"
    )


def not_yet(name: str) -> str:
    """The sentence for a known family that is not measured."""
    return f"It is {name}: a text-to-image family that is known but not supported yet."
