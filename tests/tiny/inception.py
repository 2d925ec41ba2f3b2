"""A file of Inception weights in the published layout; the numbers are random but fixed."""

import io
from pathlib import Path
from typing import Any


def write(path: Path) -> Path:
    """Write weights scaled so that activations neither vanish nor explode; some 90 MB."""
    import torch
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    class Untrained(FeatureExtractorInceptionV3):  # type: ignore[misc]
        def load_state_dict(self, *_: Any, **__: Any) -> Any:
            return None

    nothing = io.BytesIO()
    torch.save({}, nothing)
    nothing.seek(0)
    network = Untrained("inception", ["2048"], feature_extractor_weights_path=nothing)
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            deviation = (2 / module.weight[0].numel()) ** 0.5
            module.weight.data.normal_(0, deviation, generator=generator)
    torch.save(network.state_dict(), path)
    return path
