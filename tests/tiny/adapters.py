"""Ready adapters: LoRAs for the embedded checkpoint, made by peft and saved by diffusers."""

from pathlib import Path


def lora(folder: Path, scale: float) -> Path:
    """Save a random LoRA of the denoiser's attention, and return its folder.

    `scale` is the standard deviation of the up matrices.
    """
    import torch
    from diffusers import StableDiffusionPipeline, UNet2DConditionModel
    from diffusers.utils import convert_state_dict_to_diffusers
    from peft import LoraConfig, get_peft_model_state_dict

    from spqr_fixtures.embedded import weights

    unet = UNet2DConditionModel.from_pretrained(weights.base_folder() / "unet")
    unet.add_adapter(
        LoraConfig(r=2, lora_alpha=2, target_modules=["to_q", "to_k", "to_v", "to_out.0"])
    )
    generator = torch.Generator().manual_seed(0)
    for name, tensor in unet.named_parameters():
        if "lora_" in name:
            size = scale if "lora_B" in name else 0.1
            tensor.data = size * torch.randn(tensor.shape, generator=generator)
    layers = convert_state_dict_to_diffusers(get_peft_model_state_dict(unet))
    StableDiffusionPipeline.save_lora_weights(folder, unet_lora_layers=layers)
    return folder
