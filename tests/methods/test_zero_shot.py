import math

import torch

from harness.contract.toy import OTHER, probe
from harness.methods.heads.zero_shot import ZeroShot


def test_logits_are_scaled_cosines(task, queries):
    logits = ZeroShot().fit(task).logits(queries)
    norm = math.sqrt(1 + 0.25 + 0.04)
    by_hand = [10 * (0.8 + 0.3) / norm, 10 * 0.4 / norm, 10 * 0.6 / norm]
    torch.testing.assert_close(logits[0], torch.tensor(by_hand))


def test_other_names_are_encoded_under_their_own_templates(backbone):
    from harness.contract.toy import Planted

    rebound = ZeroShot().fit(Planted(backbone).task()).rebind(OTHER)
    images = probe(backbone)
    with torch.no_grad():
        text = backbone.encode_text([f"a photo of a {name}." for name in OTHER.names])
    cosines = torch.cosine_similarity(images.features[:, None], text[None], dim=-1)
    torch.testing.assert_close(
        rebound.logits(images), backbone.logit_scale * cosines, atol=1e-4, rtol=0
    )
