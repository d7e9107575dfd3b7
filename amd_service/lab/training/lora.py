"""Low-rank adapters (LoRA), https://arxiv.org/abs/2106.09685: trains about 1 % of a large network's weights."""

import warnings
from typing import Any

from peft import LoraConfig, get_peft_model

# Projections of the attention and of the feed-forward layers of Wav2Vec2.
_TARGETS = ["q_proj", "k_proj", "v_proj", "out_proj", "intermediate_dense", "output_dense"]
# Trained whole. peft would otherwise freeze the head, and a new head would keep its random weights.
_WHOLE = ["projector", "classifier"]


def add_adapters(model: Any, rank: int) -> Any:
    """Freeze the network and add adapters of `rank` to its transformer layers. The head is trained whole."""
    config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=_TARGETS, modules_to_save=_WHOLE)
    with warnings.catch_warnings():
        # peft 0.21 reads a property that transformers 5 has renamed.
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
        return get_peft_model(model, config)


def merge_adapters(model: Any) -> Any:
    """Add the adapters to the weights and return the plain network."""
    return model.merge_and_unload()
