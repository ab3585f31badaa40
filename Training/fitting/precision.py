"""The numbers the network computes in: bfloat16 where a GPU has it, float16 with a scaled loss elsewhere."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

from iuinet.errors import UsageError

_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Precision:
    """Autocast and the loss's scale. name: of the recipe. chosen: "fp32", "bf16" or "fp16".

    Weights, loss and optimiser stay in float32. On the CPU everything does: there bfloat16 is slow, and gave
    gradients that were not finite.
    Raises UsageError "precision" for half precision on the CPU.
    """

    def __init__(self, name: str, device: torch.device) -> None:
        self.device = device
        self.chosen = _choose(name, device)
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.chosen == "fp16")

    def autocast(self) -> AbstractContextManager:
        """The context for forward passes."""
        if self.chosen == "fp32":
            return nullcontext()
        return torch.autocast(self.device.type, _TYPES[self.chosen])

    def to_json(self) -> dict[str, float]:
        """The scaler's state, {} without one."""
        return dict(self.scaler.state_dict())

    def load(self, state: dict[str, float]) -> None:
        """The inverse of ``to_json``."""
        if state and self.scaler.is_enabled():
            self.scaler.load_state_dict(state)


def _choose(name: str, device: torch.device) -> str:
    if device.type == "cpu":
        if name in _TYPES:
            raise UsageError(
                f"the recipe's run.precision is {name!r}, and the training runs on the CPU",
                hint="Use auto or fp32 there.",
                code="precision",
            )
        return "fp32"
    if name == "auto":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    return name
