"""Compare parameter-efficient fine-tuning methods of CLIP-like models, honestly."""

__version__ = "0.1.0"
