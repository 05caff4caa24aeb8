"""CUDA faults that end a process's use of its GPU: every later call fails as the first did.

After a device-side assert, an illegal access or a hardware error the CUDA context is lost, and
only a new process gets another one (CUDA runtime API, `cudaError_t`: "the process must be
terminated and relaunched"). Nothing here imports torch: its errors carry CUDA's own words.
"""

from __future__ import annotations

from harness.errors import RunStopped, chain

STICKY = (
    "device-side assert triggered",
    "an illegal memory access was encountered",
    "an illegal instruction was encountered",
    "misaligned address",
    "invalid program counter",
    "hardware stack error",
    "operation not supported on global/shared address space",
    "the launch timed out and was terminated",
    "unspecified launch failure",
    "uncorrectable ECC error encountered",
    "CUBLAS_STATUS_EXECUTION_FAILED",  # the libraries' own word for a launch that failed
    "CUDNN_STATUS_EXECUTION_FAILED",
)


class DeviceLost(RunStopped):
    """This process cannot use its GPU any more, and there is no other process to go on in."""


def device_lost(error: BaseException) -> bool:
    """Whether `error`, or what it arose from, is a CUDA fault that its process does not survive."""
    return any(
        sign in str(cause) and ("CUDA" in str(cause) or "cuDNN" in str(cause))
        for cause in chain(error)
        for sign in STICKY
    )
