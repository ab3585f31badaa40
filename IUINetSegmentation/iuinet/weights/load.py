"""A model file: safetensors whose metadata holds one JSON document (layout in ``model_file.py``).

The document holds all that inference needs: network, organs in channel order, preprocessing; and where the
weights come from. Nothing is ever unpickled.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from iuinet.errors import UsageError, WeightsError
from iuinet.files import atomic
from iuinet.network import IUINet, IUINetConfig

from .model_file import METADATA_KEY, read_document


def save_model(path: str | os.PathLike, net: IUINet, document: dict) -> None:
    """Write the network's weights and its document; the network part of the document is filled in here.

    A file that is there is replaced, completely or not at all.
    Raises: OutputError for a disk that refuses.

    >>> from tempfile import TemporaryDirectory
    >>> net = IUINet(IUINetConfig(width=4, size=32, classes=2))
    >>> document = {"format": 1, "id": "a", "version": "1"}
    >>> document["preprocessing"] = {"size": 32, "window": [-125, 275]}
    >>> with TemporaryDirectory() as folder:
    ...     save_model(f"{folder}/a.safetensors", net, document | {"organs": [{"name": "liver", "label": 6}]})
    ...     load_model(f"{folder}/a.safetensors")[0].config == net.config
    True
    """
    document = {**document, "network": net.config.to_dict()}
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in net.state_dict().items()}
    with atomic(path, overwrite=True) as draft:
        draft.write_bytes(save(tensors, metadata={METADATA_KEY: json.dumps(document)}))


def load_model(path: str | os.PathLike, device: str | torch.device = "cpu") -> tuple[IUINet, dict]:
    """Network in evaluation mode on the device, and the document.

    Raises: WeightsError for a file that is not a model, or whose tensors do not fit its configuration.

    >>> from iuinet.weights import resolve
    >>> net, document = load_model(resolve().path)
    >>> net.config.classes == 1 + len(document["organs"])
    True
    """
    document = read_document(path)
    name = Path(path).name
    try:
        config = IUINetConfig.from_dict(document["network"])
        tensors = load_file(path, device="cpu")
    except (UsageError, TypeError) as error:
        raise WeightsError(
            f"the model file {name} describes a network that cannot be built: {error}",
            hint="Update IUINet, or export the model again.",
            code="weights-format",
        ) from error
    except SafetensorError as error:
        raise _damaged(name, str(error)) from error
    with torch.device("meta"):
        net = IUINet(config)
    tensors = {key: value.float() if value.is_floating_point() else value for key, value in tensors.items()}
    try:
        net.load_state_dict(tensors, assign=True)
    except RuntimeError as error:
        raise _damaged(name, str(error).splitlines()[-1].strip()) from error
    return net.to(device).eval().requires_grad_(False), document


def _damaged(name: str, why: str) -> WeightsError:
    return WeightsError(
        f"the model file {name} is damaged: {why}", hint="Install the model again.", code="weights-damaged"
    )
