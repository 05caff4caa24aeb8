"""How a classifier is carried over to the classes of a retention set.

rebind   the method's own rule: the same adaptation under other class names.
columns  where the method has none and every class of the retention set is among those adapted to:
         those columns of its logits. This is how ImageNet classifiers without a text encoder are
         tested on ImageNet-V2, -Sketch, -A and -R.

Where neither applies the method is not transferable: n/a, never zero-shot in its stead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from harness.store.record import Rule
from harness.task import Batch, Classes, Classifier


@dataclass
class Columns(Classifier):
    """Some columns of another classifier's logits, in the order given."""

    whole: Classifier
    columns: tuple[int, ...]

    def logits(self, batch: Batch) -> Tensor:
        return self.whole.logits(batch)[:, list(self.columns)]


def carry_over(
    classifier: Classifier, target: Classes, columns: Sequence[int] | None
) -> tuple[Classifier, Rule] | None:
    """The classifier of `target`'s classes and the rule that made it; None where there is none.

    Args:
        columns: where each class of `target` stands among those adapted to (`columns_of`), or
            None where not all of them do.
    """
    rebound = classifier.rebind(target)
    if rebound is not None:
        return rebound, "rebind"
    if columns is not None:
        return Columns(classifier, tuple(columns)), "columns"
    return None
