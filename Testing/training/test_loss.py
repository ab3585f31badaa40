"""The loss: none for the right answer, silent on what nobody knows, the same however samples are grouped."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="torch is not installed here")

import torch
from torch.nn.functional import cross_entropy

from pipeline.fitting.loss import UNKNOWN, Loss, dice_loss
from pipeline.fitting.recipe import LossRecipe

ORGANS = ("liver", "spleen")


def random_case(batch: int = 1, size: int = 16) -> tuple[list[torch.Tensor], torch.Tensor]:
    torch.manual_seed(0)
    outputs = [torch.randn(batch, 3, *[size >> scale] * 3) for scale in range(3)]
    return outputs, torch.randint(0, 3, (batch, size, size, size))


def test_a_perfect_answer_has_almost_no_loss():
    _, labels = random_case()
    logits = 30.0 * torch.nn.functional.one_hot(labels, 3).movedim(-1, 1)
    assert Loss(LossRecipe(), ORGANS)(logits, labels).item() < 1e-3


def test_one_scale_is_cross_entropy_plus_dice():
    outputs, labels = random_case()
    chance = torch.softmax(outputs[0], 1)
    dice = [
        (2 * (chance[0, c] * (labels[0] == c)).sum() + 1) / (chance[0, c].sum() + (labels[0] == c).sum() + 1)
        for c in (1, 2)
    ]
    expected = cross_entropy(outputs[0], labels) + 1 - sum(dice) / 2
    assert Loss(LossRecipe(), ORGANS)(outputs[0], labels).item() == pytest.approx(expected.item(), rel=1e-5)


def test_scales_are_weighted_and_coarse_labels_are_taken_from_the_middle():
    outputs, labels = random_case()
    one = Loss(LossRecipe(scales=(1.0,)), ORGANS)
    coarse = one(outputs[1], labels[:, 1::2, 1::2, 1::2])
    both = Loss(LossRecipe(scales=(1.0, 0.5)), ORGANS)(outputs, labels)
    assert both.item() == pytest.approx((one(outputs, labels) + 0.5 * coarse).item(), rel=1e-6)
    assert both.item() == Loss(LossRecipe(scales=(1.0, 0.5, 0.0)), ORGANS)(outputs, labels).item()


def test_what_nobody_knows_does_not_count():
    outputs, labels = random_case()
    labels[:, :, 8:] = UNKNOWN
    changed = [output.clone() for output in outputs]
    for output in changed:
        output[:, :, :, output.shape[3] // 2 :] += 3
    loss = Loss(LossRecipe(), ORGANS)
    assert torch.equal(loss(outputs, labels), loss(changed, labels))
    nothing = loss(outputs, torch.full_like(labels, UNKNOWN))
    assert nothing.item() == 0 and torch.isfinite(nothing).all()


def test_a_samples_loss_does_not_depend_on_its_company():
    outputs, labels = random_case(batch=3)
    labels[1][labels[1] == 2] = 0  # one sample without a spleen
    loss = Loss(LossRecipe(class_weights={"spleen": 4.0}), ORGANS)
    together = loss(outputs, labels)
    alone = [loss([output[n : n + 1] for output in outputs], labels[n : n + 1]) for n in range(3)]
    assert torch.allclose(together, torch.cat(alone), rtol=1e-5)


def test_organs_that_are_not_there_have_no_dice():
    logits = torch.zeros(1, 3, 4, 4, 4)
    truth = torch.zeros(1, 4, 4, 4, dtype=torch.long)
    known = torch.ones_like(truth, dtype=torch.bool)
    assert dice_loss(logits, truth, known).item() == 0
    truth[0, 0] = 1
    both = truth.clone()
    both[0, 1] = 2
    assert 0 < dice_loss(logits, truth, known).item() < 1
    assert dice_loss(logits, both, known).item() == pytest.approx(dice_loss(logits, truth, known).item())


def test_class_weights_are_by_name():
    outputs, labels = random_case()
    settings = LossRecipe(scales=(1.0,), dice=0.0, class_weights={"background": 0.5, "spleen": 3.0})
    expected = cross_entropy(outputs[0], labels, torch.tensor([0.5, 1.0, 3.0]))
    assert Loss(settings, ORGANS)(outputs, labels).item() == pytest.approx(expected.item(), rel=1e-5)


def test_a_phase_can_take_the_class_weights_by_halves():
    loss = Loss(LossRecipe(class_weights={"background": 0.25, "liver": 4.0}), ["liver", "spleen"])
    assert loss.class_weights.tolist() == [0.25, 4.0, 1.0]
    loss.set_weight_power(0.5)
    assert loss.class_weights.tolist() == [0.5, 2.0, 1.0]
    loss.set_weight_power(1.0)
    assert loss.class_weights.tolist() == [0.25, 4.0, 1.0]
