"""What holds for the Config of every method."""

import pytest

from harness.methods.heads.clip_adapter import Config as AdapterConfig
from harness.methods.heads.linear_probe import Config as ProbeConfig
from harness.methods.heads.tip_adapter import Config as TipConfig
from harness.methods.heads.tip_adapter import ConfigF as TipFConfig
from harness.methods.low_rank.lora import Config as LoRAConfig
from harness.methods.prompts.coop import Config as CoOpConfig


@pytest.mark.parametrize(
    ("config", "options", "message"),
    [
        (ProbeConfig, {"C": 0}, "linear_probe: C = 0: expected a number above 0"),
        (CoOpConfig, {"lr": -1.0}, "coop: lr = -1.0: expected a number above 0"),
        (CoOpConfig, {"class_token_position": "start"}, "'start': expected one of end, middle"),
        (CoOpConfig, {"steps": -1}, "coop: steps = -1: expected a whole number of at least 0"),
        (CoOpConfig, {"batch": True}, "coop: batch = True: expected a whole number"),
        (AdapterConfig, {"ratio": 1.2}, "clip_adapter: ratio = 1.2: expected a number from 0 to 1"),
        (TipConfig, {"alpha": -1.0}, "tip_adapter: alpha = -1.0: expected a number from 0 up"),
        (TipFConfig, {"views": 0}, "tip_adapter: views = 0: expected a whole number of at least 1"),
        (LoRAConfig, {"dropout": 1.0}, "lora: dropout = 1.0: expected a number from 0 up, below 1"),
        (LoRAConfig, {"sites": ("q", "x")}, "lora: sites = ('q', 'x'): expected one or more of q"),
        (LoRAConfig, {"alpha": 0.0}, "lora: alpha = 0.0: expected a number above 0"),
    ],
)
def test_errors_quote_the_value_and_say_what_is_right(config, options, message):
    with pytest.raises(ValueError) as error:
        config(**options)
    assert message in str(error.value)
