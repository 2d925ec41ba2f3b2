"""What safety methods ship."""

import re
from copy import deepcopy
from dataclasses import replace
from typing import Any

from tests.checkpoint.formats.originals import original
from tests.checkpoint.formats.published import Command, Rows, Writer, row
from tests.checkpoint.tiny_pipelines import state

ROWS: Rows = {}


@row(ROWS, "ESD")
def _(writer: Writer) -> Command:
    changed = writer.changed(part="attn1")
    return Command(changed, overlay=writer.pickle(changed.unet.state_dict(), "esd.pt"), pickle=True)


@row(ROWS, "ESD, newer")
def _(writer: Writer) -> Command:
    changed = writer.changed(part="attn2")
    trained = {
        name: tensor for name, tensor in changed.unet.state_dict().items() if "attn2" in name
    }
    return Command(changed, overlay=writer.safetensors(trained, "esd.safetensors"))


@row(ROWS, "ESD, CompVis")
def _(writer: Writer) -> Command:
    changed = writer.changed()
    return Command(
        changed,
        overlay=writer.pickle(original(changed, "sd1", denoiser_only=True), "esd.pt"),
        pickle=True,
    )


@row(ROWS, "UCE")
def _(writer: Writer) -> Command:
    changed = writer.changed(part="attn2.to_k")
    written = {
        name: tensor
        for name, tensor in changed.unet.state_dict().items()
        if re.search(r"attn2\.to_[kv]", name)
    }
    return Command(changed, overlay=writer.safetensors(written, "uce.safetensors"))


@row(ROWS, "UCE, older; RECE; ResAlign")
def _(writer: Writer) -> Command:
    changed = writer.changed("sd2")
    return Command(
        changed,
        base="sd2",
        overlay=writer.pickle(changed.unet.state_dict(), "unet.pt"),
        pickle=True,
    )


@row(ROWS, "MACE, FMN")
def _(writer: Writer) -> Command:
    changed = writer.changed()
    changed.save_pretrained(writer.folder / "mace")
    return Command(changed, writer.folder / "mace")


@row(ROWS, "SalUn, Scissorhands, EraseDiff")
def _(writer: Writer) -> Command:
    changed = writer.changed()
    return Command(
        changed,
        overlay=writer.pickle({"state_dict": original(changed, "sd1")}, "salun.pt"),
        pickle=True,
    )


@row(ROWS, "SalUn, Scissorhands, EraseDiff, converted")
def _(writer: Writer) -> Command:
    changed = writer.changed()
    return Command(
        changed, overlay=writer.pickle(changed.unet.state_dict(), "unet.pt"), pickle=True
    )


@row(ROWS, "AdvUnlearn")
def _(writer: Writer) -> Command:
    changed = writer.changed(component="text_encoder")
    changed.text_encoder.save_pretrained(writer.folder / "text_encoder")
    return Command(changed, overlay=writer.folder / "text_encoder")


@row(ROWS, "AdvUnlearn, file")
def _(writer: Writer) -> Command:
    changed = writer.changed(component="text_encoder")
    tensors = {
        f"text_encoder.text_model.{name}": tensor
        for name, tensor in state(changed.text_encoder).items()
    }
    return Command(changed, overlay=writer.pickle(tensors, "text_encoder.pt"), pickle=True)


@row(ROWS, "a UNet or transformer folder")
def _(writer: Writer) -> Command:
    changed = writer.changed("sd3", "transformer")
    changed.transformer.save_pretrained(writer.folder / "transformer")
    return Command(changed, base="sd3", overlay=writer.folder / "transformer")


@row(ROWS, "SD3 transformer")
def _(writer: Writer) -> Command:
    return _transformer(writer, "sd3")


@row(ROWS, "FLUX transformer")
def _(writer: Writer) -> Command:
    return _transformer(writer, "flux")


def _transformer(writer: Writer, name: str) -> Command:
    changed = writer.changed(name, "transformer")
    written = original(changed, name, denoiser_only=True, bare=name == "flux")
    return Command(changed, base=name, overlay=writer.safetensors(written))


@row(ROWS, "SPM")
def _(writer: Writer) -> Command:
    # Its images are those of the erased prompt, at which its strength is 1.
    return _spm(writer, "; it is an SPM of 'a red heart': scaled for each prompt by its similarity")


@row(ROWS, "SPM, ACE, at strength 1")
def _(writer: Writer) -> Command:
    said = "this run merges it at strength 1 for every prompt, as @merge asks"
    return replace(_spm(writer, said), mode="merge")


def _spm(writer: Writer, said: str) -> Command:
    changed = writer.base()
    tensors = {}
    for module in (
        "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_q",
        "down_blocks.0.resnets.0.conv1",
    ):
        tensors |= _kohya(
            f"lora_unet_{module.replace('.', '_')}", changed.unet.get_submodule(module), rank=1
        )
    metadata = {"prompts": "a red heart", "rank": "1", "alpha": "0.5"}
    return Command(changed, overlay=writer.safetensors(tensors, metadata=metadata), said=said)


@row(ROWS, "LoRA, diffusers")
def _(writer: Writer) -> Command:
    import torch
    from peft import LoraConfig
    from peft.utils import get_peft_model_state_dict

    changed = writer.base()
    changed.unet.add_adapter(
        LoraConfig(r=2, lora_alpha=2, target_modules=["to_q", "to_v"], init_lora_weights=False)
    )
    layers = get_peft_model_state_dict(changed.unet)
    type(changed).save_lora_weights(writer.folder / "lora", unet_lora_layers=layers)
    fresh = writer.base()
    fresh.load_lora_weights(writer.folder / "lora")
    fresh.fuse_lora()
    fresh.unload_lora_weights()
    assert not torch.equal(
        *(
            p.unet.down_blocks[0].attentions[0].transformer_blocks[0].attn1.to_q.weight
            for p in (fresh, writer.base())
        )
    )
    return Command(fresh, overlay=writer.folder / "lora" / "pytorch_lora_weights.safetensors")


@row(ROWS, "LoRA, peft")
def _(writer: Writer) -> Command:
    from peft import LoraConfig, get_peft_model

    changed = writer.base("sd3")
    settings = LoraConfig(
        r=4, lora_alpha=8, target_modules=["to_q", "add_k_proj"], init_lora_weights=False
    )
    adapted = get_peft_model(deepcopy(changed.transformer), settings)
    adapted.save_pretrained(writer.folder / "adapter")
    changed.transformer = adapted.merge_and_unload()
    return Command(changed, base="sd3", overlay=writer.folder / "adapter")


@row(ROWS, "LoRA, kohya, SD1 or SDXL")
def _(writer: Writer) -> Command:
    changed = writer.base("sdxl")
    unet = changed.unet
    tensors = _kohya(
        # kohya's trainer names the block as SDXL's authors do.
        "lora_unet_input_blocks_3_1_transformer_blocks_1_attn2_to_k",
        unet.down_blocks[1].attentions[0].transformer_blocks[1].attn2.to_k,
    )
    first = _layer(changed.text_encoder)
    tensors |= _kohya(
        "lora_te1_text_model_encoder_layers_0_self_attn_q_proj", first.self_attn.q_proj
    )
    tensors |= _kohya(
        "lora_te2_text_model_encoder_layers_0_mlp_fc1", _layer(changed.text_encoder_2).mlp.fc1
    )
    return Command(changed, base="sdxl", overlay=writer.safetensors(tensors))


@row(ROWS, "LoRA, kohya, FLUX")
def _(writer: Writer) -> Command:
    import torch

    changed = writer.base("flux")
    attention = changed.transformer.transformer_blocks[0].attn
    joined = torch.nn.Linear(32, 96)
    tensors = _kohya("lora_unet_double_blocks_0_img_attn_qkv", joined, added := torch.zeros(96, 32))
    with torch.no_grad():
        for module, rows in zip(
            (attention.to_q, attention.to_k, attention.to_v), added.chunk(3), strict=True
        ):
            module.weight += rows
    return Command(changed, base="flux", overlay=writer.safetensors(tensors))


def _layer(encoder: Any) -> Any:
    # transformers 5 removed the level between the encoder and its layers.
    return getattr(encoder, "text_model", encoder).encoder.layers[0]


def _kohya(
    name: str, module: Any, added: Any = None, *, rank: int = 2, alpha: float = 0.5
) -> dict[str, Any]:
    """Return a kohya adapter for a module, and add its change to the module's weight.

    Where `added` is given, the change is added to that instead.
    """
    import torch

    weight = module.weight
    generator = torch.Generator().manual_seed(len(name))
    down = torch.randn((rank, *weight.shape[1:]), generator=generator)
    up = torch.randn((weight.shape[0], rank, *[1] * (weight.ndim - 2)), generator=generator)
    change = (alpha / rank) * torch.einsum("or,r...->o...", up.flatten(1), down)
    with torch.no_grad():
        (weight if added is None else added).add_(change)
    return {
        f"{name}.lora_down.weight": down,
        f"{name}.lora_up.weight": up,
        f"{name}.alpha": torch.tensor(alpha),
    }
