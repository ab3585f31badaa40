"""Sets that label only some organs: what they do not label is neither punished, nor validated, nor hidden."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="torch is not installed here")

import torch
from torch.nn.functional import one_hot
from training.test_loss import random_case

from pipeline.fitting.initial import class_shares
from pipeline.fitting.loss import UNKNOWN, Loss
from pipeline.fitting.recipe import LossRecipe

ORGANS = ("liver", "spleen")
LIVER_ALONE = torch.tensor([[True, True, False]])  # of background, liver, spleen
SETTINGS = LossRecipe(scales=(1.0, 0.5, 0.25), class_weights={"background": 0.3, "liver": 2.0, "spleen": 4.0})


def gradients(loss: torch.Tensor, outputs: list[torch.Tensor]) -> list[torch.Tensor]:
    return list(torch.autograd.grad(loss.sum(), outputs))


def with_gradient(outputs: list[torch.Tensor]) -> list[torch.Tensor]:
    return [output.clone().requires_grad_() for output in outputs]


def test_labels_of_all_organs_have_loss_and_gradient_as_without_a_mask_to_the_bit():
    outputs, labels = random_case(batch=2)
    labels[0, :4] = UNKNOWN
    plain, masked, beside = with_gradient(outputs), with_gradient(outputs), with_gradient(outputs)
    loss = Loss(SETTINGS, ORGANS)
    before, now = loss(plain, labels), loss(masked, labels, torch.ones(2, 3, dtype=torch.bool))
    mixed = loss(beside, labels, torch.tensor([[True, True, True], [True, True, False]]))
    assert torch.equal(before, now) and before[0] == mixed[0] and before[1] != mixed[1]
    for a, b, c in zip(
        gradients(before, plain), gradients(now, masked), gradients(mixed, beside), strict=True
    ):
        assert torch.equal(a, b) and torch.equal(a[0], c[0])


def test_it_is_the_loss_of_a_network_whose_background_holds_the_unlabelled_organs():
    outputs, labels = random_case(batch=2)
    labels[labels == 2] = 0
    chances = [torch.softmax(output, 1) for output in outputs]
    fewer = [torch.cat([chance[:, :1] + chance[:, 2:], chance[:, 1:2]], 1).log() for chance in chances]
    weights = {key: value for key, value in SETTINGS.class_weights.items() if key != "spleen"}
    expected = Loss(LossRecipe(SETTINGS.scales, class_weights=weights), ORGANS[:1])(fewer, labels)
    found = Loss(SETTINGS, ORGANS)(outputs, labels, LIVER_ALONE.expand(2, 3))
    assert torch.allclose(found, expected, rtol=1e-5)


def test_nothing_pushes_an_unlabelled_organ_down_where_the_labels_show_background():
    outputs, labels = random_case()
    labels[labels == 2] = 0
    outputs = with_gradient(outputs)
    found = gradients(Loss(SETTINGS, ORGANS)(outputs, labels, LIVER_ALONE), outputs)
    for scale, (gradient, output) in enumerate(zip(found, outputs, strict=True)):
        step = 2**scale
        at = slice(step // 2, None, step)
        background = labels[0, at, at, at] == 0
        spleen, rest = gradient[0, 2][background], gradient[0, 0][background]
        assert (spleen <= 0).all() and (rest <= 0).all(), "a descent raises both"
        share = torch.softmax(output[0, [0, 2]], 0)[:, background]
        # Their ratio is left as it is: each is raised by its share of their sum.
        assert torch.allclose(spleen * share[0], rest * share[1], atol=1e-9)
    entropy = Loss(LossRecipe(scales=(1.0, 0.5, 0.25), dice=0.0), ORGANS)
    (old, *_) = gradients(entropy(outputs, labels), outputs)
    assert (old[0, 2][labels[0] == 0] > 0).all(), "which the labels as they stand would do"


def test_a_network_that_is_sure_of_an_unlabelled_organ_has_no_loss_there():
    truth = torch.zeros(1, 8, 8, 8, dtype=torch.long)
    truth[0, :4] = 1
    answer = truth.clone()
    answer[0, 6:] = 2  # a spleen that nobody drew
    logits = 40.0 * one_hot(answer, 3).movedim(-1, 1)
    loss = Loss(LossRecipe(), ORGANS)
    assert loss(logits, truth, LIVER_ALONE).item() < 1e-3 < 1 < loss(logits, truth).item()
    answer[0, 3] = 2  # liver called spleen is wrong all the same
    logits = 40.0 * one_hot(answer, 3).movedim(-1, 1)
    assert loss(logits, truth, LIVER_ALONE).item() > 1


def test_labels_of_an_organ_that_counts_as_unlabelled_are_background():
    outputs, labels = random_case()
    loss = Loss(SETTINGS, ORGANS)
    found = loss(outputs, labels, LIVER_ALONE)
    assert torch.isfinite(found).all()
    assert torch.equal(found, loss(outputs, labels.where(labels != 2, 0), LIVER_ALONE))


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("size", [1.0, 6e4])
def test_loss_and_gradient_are_finite_also_for_extreme_logits_of_half_precision(kind, size):
    outputs, labels = random_case()
    outputs = with_gradient([(output.sign() * size).to(kind) for output in outputs])
    found = Loss(SETTINGS, ORGANS)(outputs, labels, LIVER_ALONE)
    assert torch.isfinite(found).all()
    assert all(torch.isfinite(gradient).all() for gradient in gradients(found, outputs))


def test_only_organs_of_no_set_have_no_share_when_shares_are_counted():
    shown = torch.tensor([0, 1, 1, 2], dtype=torch.uint8)
    partly = torch.tensor([0, 1, 1, 0], dtype=torch.uint8)
    weights = torch.ones(3)
    whole = class_shares([shown, shown], weights)
    mixed = class_shares([shown, partly], weights, [(), (LIVER_ALONE[0],)])
    assert mixed[2] / mixed[1] == pytest.approx(float(whole[2] / whole[1]))
    assert torch.equal(whole, class_shares([shown, shown], weights, [(), ()]))
