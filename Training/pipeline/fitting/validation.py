"""Loss and DSC on the validation cases, at the size that the phase trains at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from iuinet.preprocessing import apply_window

from .attention import Dynamics, dynamics, watched
from .engine import Engine
from .loss import UNKNOWN
from .samples import Cases


@dataclass(frozen=True)
class Validation:
    """loss: mean over the cases. dsc: mean over the organs; None where no case holds one.

    organs: per organ the mean over the cases that hold it or were predicted to hold it, of those that label
    it; None for none.
    attention: of each DyFC by name, over the cases.
    """

    loss: float
    dsc: float | None
    organs: dict[str, float | None]
    attention: dict[str, Dynamics]


@torch.no_grad()
def validate(engine: Engine, samples: Cases, size: int) -> Validation:
    """The engine's network, its averaged weights where there are some, on all of the samples' cases.

    size: edge of the input, voxels. The processes share the cases.
    """
    found = []
    forward = engine.forward_averaged()
    engine.net.eval()
    for id in engine.processes.mine(sorted(samples.ids)):
        image, labels, *labelled = samples.take(id, size)
        shown = labelled[0] if labelled else torch.ones(len(engine.organs) + 1, dtype=torch.bool)
        with engine.precision.autocast(), watched(engine.net) as seen:
            outputs = forward(apply_window(image, engine.recipe.data.window)[None, None])
        finest = outputs if isinstance(outputs, torch.Tensor) else outputs[0]
        loss = float(engine.loss(outputs, labels.long()[None], shown[None] if labelled else None)[0])
        scores = case_dsc(finest[0].argmax(0), labels, len(engine.organs))
        # Where an organ is not labelled, a prediction of it is neither right nor wrong.
        scores = [score if known else None for score, known in zip(scores, shown[1:].tolist(), strict=True)]
        found.append((id, loss, scores, seen))
    engine.net.train()
    # In the order of the cases, so that the sums do not depend on the number of processes.
    rows = sorted((row for part in engine.processes.gather(found) for row in part), key=lambda row: row[0])
    scores = {
        name: _mean([row[2][number] for row in rows if row[2][number] is not None])
        for number, name in enumerate(engine.organs)
    }
    known = [value for value in scores.values() if value is not None]
    attention = {name: [part for row in rows for part in row[3][name]] for name in rows[0][3]}
    return Validation(sum(row[1] for row in rows) / len(rows), _mean(known), scores, dynamics(attention))


def case_dsc(prediction: torch.Tensor, labels: torch.Tensor, organs: int) -> list[float | None]:
    """DSC per organ; None for an organ that is in neither, 0 for one that is in one of them only.

    prediction, labels: channels (S, S, S); what is unknown in the labels does not count.
    """
    known = labels != UNKNOWN
    truth, predicted = labels[known].long(), prediction[known].long()
    classes = organs + 1
    in_truth, in_predicted = (torch.bincount(values, minlength=classes) for values in (truth, predicted))
    in_both = torch.bincount(truth[truth == predicted], minlength=classes)
    total = (in_truth + in_predicted).tolist()
    return [
        2 * both / all_ if all_ else None for both, all_ in zip(in_both.tolist()[1:], total[1:], strict=True)
    ]


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
