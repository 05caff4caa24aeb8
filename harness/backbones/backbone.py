"""`Backbone`: a frozen open_clip model as methods see it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from functools import lru_cache, partial
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from harness.backbones.adaptable import Adaptable
from harness.backbones.changes import Hooks
from harness.backbones.ensemble import ensemble
from harness.backbones.fingerprint import fingerprint_of
from harness.backbones.image_tokens import token_entries
from harness.backbones.packing import Packing, group_cost, pack
from harness.backbones.prompts import NONE, PromptRules, check_learnt
from harness.backbones.sites import open_towers
from harness.backbones.text import causal_tower, encode_packed, text_blocks, token_embedding
from harness.backbones.tokens import Tokenizer, adapt_tokenizer
from harness.backbones.vision import shorten_last_block
from harness.classes import Classes, NotApplicable

Precision = Literal["fp32", "bf16", "fp16-amp"]
AUTOCAST = {"bf16": torch.bfloat16, "fp16-amp": torch.float16}


class Backbone(Adaptable):
    """Two frozen encoders, their tokenizer, and named parts that can be changed for a while.

    All parameters are frozen and the model is in evaluation mode; gradients flow through it to
    whatever is put into it. No `encode_*` sets `no_grad`; that is the caller's. How to change it
    stands in `Adaptable`.

    Attributes:
        fingerprint: SHA-256 of the weights.
        feature_dim: d, the width of image and text features.
        context_dim: w, the width of a token embedding.
        token_dim: v, the width of an image token; 0 where none can be learnt.
        image_blocks, text_blocks: how many blocks learnt tokens and deep prompts can enter; 0
            where the tower is of another kind than a plain transformer.
        logit_scale: τ, the factor on cosine similarities (100 for OpenAI's CLIP).
        sites, parameters: see `Adaptable`. A tower whose attention is of an unknown kind
            (ModifiedResNet, Hugging Face text models) has no sites.
        notes: what a reader of the numbers should know, such as "random weights".
        sot, eot: ids that begin and end a prompt. Where the vocabulary has no start token, `sot`
            is an id outside of it and is dropped by `encode_prompts`.
    """

    has_encoder: ClassVar[bool] = True
    """False where only features of a model are at hand (see `harness.backbones.features_only`)."""

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        name: str,
        fingerprint: str | None = None,
        mean: tuple[float, ...] = (0.48145466, 0.4578275, 0.40821073),
        std: tuple[float, ...] = (0.26862954, 0.26130258, 0.27577711),
        device: torch.device | str = "cpu",
        precision: Precision = "fp32",
        notes: tuple[str, ...] = (),
    ) -> None:
        """Take over an open_clip model (its attention is split in place) and its tokenizer."""
        self.name = name
        self.fingerprint = fingerprint or fingerprint_of(model)
        self.device = torch.device(device)
        self.precision = precision
        self.mean, self.std = mean, std
        self.notes = notes
        self.model = model.requires_grad_(False)
        towers = open_towers(model)
        shorten_last_block(model.visual)
        self.model.eval().to(self.device)
        self._open(*towers)
        self._open_images(model.visual)
        self._open_text(model, adapt_tokenizer(tokenizer))
        self.logit_scale = float(model.logit_scale.detach().exp())
        with torch.no_grad():
            self.feature_dim = int(self.encode_prompts([[self.sot, self.eot]]).shape[1])

    def _open_images(self, visual: Any) -> None:
        size = visual.image_size
        self.image_size = int(size if isinstance(size, int) else size[0])
        self._entries = token_entries(visual)
        self.image_blocks = len(self._entries.blocks) if self._entries else 0
        self.token_dim = self._entries.width if self._entries else 0

    def _open_text(self, model: Any, tokens: Tokenizer) -> None:
        self._tokens = tokens
        self._embedding = token_embedding(getattr(model, "text", model))
        vocabulary, self.context_dim = map(int, self._embedding.weight.shape)
        self.sot = vocabulary if tokens.sot is None else tokens.sot
        self.eot = tokens.eot
        self.context_length = int(model.context_length)
        self._rules = PromptRules(tokens, self.sot, self.context_length)
        self._text, self._text_blocks = causal_tower(model), text_blocks(model)
        self.text_blocks = len(self._text_blocks)
        self._pack = lru_cache(maxsize=256)(self._pack_uncached)

    def encode_image(self, images: Tensor, tokens: Mapping[int, Tensor] = NONE) -> Tensor:
        """(n, 3, H, W) preprocessed images → (n, d) features, unnormalised, float32.

        `tokens` {block: (n, v)} are learnt vectors behind the image's own tokens from the input of
        their block on (block 0: in front of its normalisation `ln_pre`), in place of those of the
        block before; see `harness.backbones.image_tokens`. Gradients reach them.

        Raises:
            NotApplicable: tokens for an image encoder that is no plain vision transformer.
            ValueError: a block that there is not, or a shape that does not fit.
        """
        with self._autocast(), self._changes.applied(self._token_hooks(tokens)):
            features: Tensor = self.model.encode_image(images.to(self.device))
        return features.float()

    def encode_text(self, prompts: Sequence[str]) -> Tensor:
        """Prompts → (n, d) features, unnormalised, float32.

        Raises:
            ValueError: a prompt has more tokens than the context holds; nothing is truncated.
        """
        framed = [[self.sot, *self.tokenize(prompt), self.eot] for prompt in prompts]
        for prompt, ids in zip(prompts, framed, strict=True):
            self._rules.check_length(ids, repr(prompt))
        return self.encode_prompts(framed)

    def raw_text_features(self, classes: Classes) -> Tensor:
        """(P, C, d) features of the class names under each of P templates, unnormalised.

        An underscore in a class name becomes a space.
        """
        names = [name.replace("_", " ") for name in classes.names]
        views = [[template.format(name) for name in names] for template in classes.templates]
        return torch.stack([self.encode_text(view) for view in views])

    def text_features(self, classes: Classes) -> Tensor:
        """(C, d) unit-length features: over templates, the normalised mean of normalised features.

        An underscore in a class name becomes a space.
        """
        return ensemble(self.raw_text_features(classes))

    def tokenize(self, text: str) -> list[int]:
        """Token ids of `text`, without start and end tokens."""
        return self._tokens.encode(text)

    def token_embedding(self, ids: Sequence[int]) -> Tensor:
        """(L,) ids → (L, w) embeddings, without positions; a copy that may be trained."""
        found: Tensor = self._embedding(torch.tensor(list(ids), device=self.device))
        return found.detach().clone()

    def encode_prompts(
        self,
        prompts: Sequence[Sequence[int]],
        context: Tensor | None = None,
        deep: Mapping[int, Tensor] = NONE,
    ) -> Tensor:
        """Prompts as ids from `sot` to `eot` → (n, d) features, unnormalised, float32.

        An entry −1−j stands for row j of `context` (J, w), CoOp's learnt vectors; gradients reach
        it. At the input of text block b the rows of `deep[b]` (J, w) take the places of the
        context's rows (MaPLe, IVLP), without positions. Causal towers take the packed path of
        `harness.backbones.text`: exact, and without padding or repeated prefixes. A token in the
        common prefix is computed once for all prompts, so dropout inside an injected branch draws
        one mask for it, not one per prompt.

        Raises:
            NotApplicable: deep prompts for a text encoder that is no plain transformer.
            ValueError: no prompts; one too long, or not from `sot` to `eot`; a row that `context`
                does not have; deep prompts for a block that there is not, or of another shape
                than the context.
        """
        packing = self._pack(tuple(map(tuple, prompts)), 0 if context is None else len(context))
        if packing is None:
            return self.encode_prompts_plain(prompts, context, deep)
        self._check_deep(deep, context)
        assert self._text is not None
        with self._autocast(), self._counting(packing.weights):
            return encode_packed(self._text, packing, context, deep).float()

    def encode_prompts_plain(
        self,
        prompts: Sequence[Sequence[int]],
        context: Tensor | None = None,
        deep: Mapping[int, Tensor] = NONE,
    ) -> Tensor:
        """`encode_prompts` by the model's own forward pass at the full context length."""
        self._rules.check(prompts, 0 if context is None else len(context))
        self._check_deep(deep, context)
        padded = self._rules.padded(prompts, self.device)
        learnt = {} if context is None else {self._embedding: lambda _, x: padded.put(x, context)}
        hooks = Hooks(
            learnt.items(),
            [(self._text_blocks[b], partial(padded.put, learnt=rows)) for b, rows in deep.items()],
        )
        standing = None if self._text is None else padded.weights
        with self._autocast(), self._counting(standing), self._changes.applied(hooks):
            features: Tensor = self.model.encode_text(padded.ids)
        return features.float()

    def _check_deep(self, deep: Mapping[int, Tensor], context: Tensor | None) -> None:
        if deep and not self.text_blocks:
            raise NotApplicable(f"{self.name}: its text encoder takes no deep prompts")
        if deep and context is None:
            raise ValueError("deep prompts take the places of a context's rows: give a context")
        rows = 0 if context is None else len(context)
        check_learnt(deep, self.text_blocks, self.context_dim, rows, "deep prompts")

    def _token_hooks(self, tokens: Mapping[int, Tensor]) -> Hooks:
        if not tokens:
            return Hooks()
        if self._entries is None:
            raise NotApplicable(f"{self.name}: its image encoder takes no learnt tokens")
        check_learnt(tokens, self.image_blocks, self.token_dim, None, "image tokens")
        return self._entries.hooks(tokens)

    def _autocast(self) -> AbstractContextManager[Any]:
        dtype = AUTOCAST.get(self.precision)
        return torch.autocast(self.device.type, dtype=dtype, enabled=dtype is not None)

    def _pack_uncached(self, prompts: tuple[tuple[int, ...], ...], rows: int) -> Packing | None:
        self._rules.check(prompts, rows)
        if self._text is None:
            return None
        return pack(prompts, self.device, group_cost(self.device, self.context_dim))
