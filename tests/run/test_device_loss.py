"""Which errors say that a process has lost its GPU: CUDA's own words, as torch reports them."""

import pytest

from harness.run.device_loss import device_lost


@pytest.mark.parametrize(
    ("message", "lost"),
    [
        ("CUDA error: device-side assert triggered\nFor debugging consider …", True),
        ("CUDA error: an illegal memory access was encountered", True),
        ("CUDA error: uncorrectable ECC error encountered", True),
        ("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm(…)`", True),
        ("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED", True),
        ("CUDA out of memory. Tried to allocate 2.00 GiB", False),
        ("CUDA error: invalid configuration argument", False),
        ("CUDA error: CUBLAS_STATUS_NOT_SUPPORTED when calling `cublasGemmEx(…)`", False),
        ("misaligned address in my own file format", False),
    ],
)
def test_sticky_faults_are_told_from_others(message: str, lost: bool) -> None:
    assert device_lost(RuntimeError(message)) == lost


def test_what_an_error_arose_from_counts() -> None:
    try:
        try:
            raise RuntimeError("CUDA error: unspecified launch failure")
        except RuntimeError as fault:
            raise ValueError("the fit failed") from fault
    except ValueError as error:
        assert device_lost(error)
    assert not device_lost(ValueError("the fit failed"))
