"""Playground's checkpoints of Playground 2.5: Stable Diffusion XL's, with statistics of latents."""

from spqr_tests.checkpoint.formats.layouts.stable_diffusion import ORIGINAL_XL, autoencoder
from spqr_tests.checkpoint.formats.layouts.table import Original, Preset

_SDXL = ORIGINAL_XL.presets[0]
_PRESET = Preset(
    "playground-2.5",
    _SDXL.pipeline_class,
    {
        **_SDXL.models,
        "vae": (
            "AutoencoderKL",
            autoencoder(
                force_upcast=True,
                latents_mean=[-1.6574, 1.886, -1.383, 2.5155],
                latents_std=[8.4927, 5.9022, 6.5498, 5.2299],
                sample_size=1024,
                scaling_factor=0.5,
            ),
        ),
    },
    (
        "EDMDPMSolverMultistepScheduler",
        {
            "algorithm_type": "dpmsolver++",
            "dynamic_thresholding_ratio": 0.995,
            "euler_at_final": False,
            "final_sigmas_type": "zero",
            "lower_order_final": True,
            "num_train_timesteps": 1000,
            "prediction_type": "epsilon",
            "rho": 7.0,
            "sample_max_value": 1.0,
            "sigma_data": 0.5,
            "sigma_max": 80.0,
            "sigma_min": 0.002,
            "solver_order": 2,
            "solver_type": "midpoint",
            "thresholding": False,
        },
    ),
    _SDXL.tokenizers,
    _SDXL.arguments,
    _SDXL.signs,
)
ORIGINAL = Original(
    "Playground 2.5 checkpoint",
    ORIGINAL_XL.tables,
    (_PRESET,),
    ORIGINAL_XL.ignored,
    stated={"edm_mean": ("vae", "latents_mean"), "edm_std": ("vae", "latents_std")},
)
