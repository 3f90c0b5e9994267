from __future__ import annotations

import pytest
import torch

from alexnet_edu.imagenet.errors import counted, judged, summed_loss
from alexnet_edu.imagenet.feed import NO_LABEL

LOGITS = torch.tensor([[3.0, 2, 1, 0, -1, -2], [0, 1, 2, 3, 4, 5], [6, 5, 4, 3, 2, 1]])
LABELS = torch.tensor([0, 0, 1])  # first; last of six; second


def test_sums_of_a_batch_by_hand() -> None:
    loss = summed_loss(LOGITS, LABELS)
    assert float(loss) == pytest.approx(float(torch.nn.functional.cross_entropy(LOGITS, LABELS)) * 3)
    assert counted(LOGITS, LABELS, loss).tolist() == pytest.approx([float(loss), 2, 1, 3])
    assert judged(LOGITS.softmax(1), LABELS).tolist() == pytest.approx([float(loss), 2, 1, 3], rel=1e-6)


def test_rows_without_a_label_count_for_nothing() -> None:
    labels = torch.tensor([0, NO_LABEL, 1])
    loss = summed_loss(LOGITS, labels)
    rest = LOGITS[[0, 2]]
    assert float(loss) == pytest.approx(float(summed_loss(rest, labels[[0, 2]])))
    assert counted(LOGITS, labels, loss).tolist()[1:] == [1, 0, 2]
    assert judged(LOGITS.softmax(1), labels).tolist()[1:] == [1, 0, 2]
    none = torch.full((3,), NO_LABEL)
    assert judged(LOGITS.softmax(1), none).tolist() == [0, 0, 0, 0]
    assert float(summed_loss(LOGITS, none)) == 0


def test_no_gradient_comes_from_a_row_without_a_label() -> None:
    logits = LOGITS.clone().requires_grad_()
    summed_loss(logits, torch.tensor([0, NO_LABEL, 1])).backward()
    assert logits.grad is not None
    assert logits.grad[1].abs().max() == 0
    assert logits.grad[0].abs().max() > 0


def test_parts_of_a_batch_add_up() -> None:
    whole = judged(LOGITS.softmax(1), LABELS)
    parts = judged(LOGITS[:1].softmax(1), LABELS[:1]) + judged(LOGITS[1:].softmax(1), LABELS[1:])
    assert torch.allclose(whole, parts)


def test_an_empty_share_and_few_classes() -> None:
    empty = torch.empty(0, 6)
    labels = torch.empty(0, dtype=torch.int64)
    assert counted(empty, labels, torch.tensor(0.0)).tolist() == [0, 0, 0, 0]
    assert judged(empty, labels).tolist() == [0, 0, 0, 0]
    assert judged(LOGITS[:, :3].softmax(1), torch.tensor([0, 0, 1])).tolist()[2] == 0  # among five of three


def test_logits_in_float64_stay_so() -> None:
    assert summed_loss(LOGITS.double(), LABELS).dtype == torch.float64
    assert summed_loss(LOGITS.bfloat16(), LABELS).dtype == torch.float32
