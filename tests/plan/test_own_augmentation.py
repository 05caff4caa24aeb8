"""Data sets carry the augmentation that fits them; a suite overrides it."""

from __future__ import annotations

import pytest
from small_suite import SMALL, MakePlan

from harness.datasets import load_dataset
from harness.datasets.embedded.recipes import AUGMENT
from harness.datasets.embedded_sets import read_index
from harness.datasets.halves import halve
from harness.features.augment import AugmentSpec

PLAIN = SMALL.replace("augment: {scale: [0.8, 1.0], flip: false}\n", "")


@pytest.mark.parametrize("name", sorted(read_index()))
def test_glyphs_are_cropped_mildly_and_never_mirrored(name: str) -> None:
    own = load_dataset(name).augment
    assert own == AugmentSpec.model_validate(AUGMENT)
    assert not own.flip and own.scale[0] >= 0.8
    assert halve(load_dataset(name), "new").augment == own


def test_a_suite_without_a_line_has_the_cells_of_one_that_says_the_same(plan_of: MakePlan) -> None:
    said = PLAIN + "augment: {scale: [0.8, 1.0], ratio: [0.9, 1.1], flip: false}\n"
    own, spelt, other = (
        {cell.id for cell in plan_of(text).cells}
        for text in (PLAIN, said, PLAIN + "augment: {flip: true}\n")
    )
    assert own == spelt
    assert len(own & other) == 2, "only zero-shot, which augments nothing, is the same"
