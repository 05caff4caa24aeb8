"""What holds for the Config of every method."""

import pytest

from harness.methods.heads.clip_adapter import Config as AdapterConfig
from harness.methods.heads.linear_probe import Config as ProbeConfig
from harness.methods.heads.tip_adapter import Config as TipConfig
from harness.methods.heads.tip_adapter import ConfigF as TipFConfig
from harness.methods.low_rank.lora import Config as LoRAConfig
from harness.methods.prompts.coop import Config as CoOpConfig


@pytest.mark.parametrize(
    ("config", "options"),
    [
        (ProbeConfig, {"C": 0}),
        (ProbeConfig, {"C": float("nan")}),
        (CoOpConfig, {"lr": -1.0}),
        (CoOpConfig, {"class_token_position": "start"}),
        (CoOpConfig, {"steps": -1}),
        (CoOpConfig, {"batch": True}),
        (CoOpConfig, {"batch": "32"}),
        (CoOpConfig, {"lr": True}),
        (AdapterConfig, {"ratio": 1.2}),
        (TipConfig, {"alpha": -1.0}),
        (TipFConfig, {"views": 0}),
        (LoRAConfig, {"dropout": 1.0}),
        (LoRAConfig, {"sites": ("q", "x")}),
        (LoRAConfig, {"sites": ()}),
        (LoRAConfig, {"alpha": 0.0}),
    ],
)
def test_a_wrong_setting_is_refused_by_name(config, options):
    with pytest.raises(ValueError) as error:
        config(**options)
    assert next(iter(options)) in str(error.value)


def test_a_whole_number_is_a_rate():
    assert CoOpConfig(lr=1).lr == 1.0
