# SPDX-License-Identifier: Apache-2.0
"""The layers and weights of a model, looked up once and not in every step."""

from __future__ import annotations

from typing import Any

from elman.layers.layer import Layer


class Structure:
    """All layers within a model, and its trainable weights.

    Looking through the attributes of every layer takes longer than a small step, so the result is
    kept until a layer is built, frozen or unfrozen, or `refresh` is called.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._holders: list[Any] | None = None
        self._key: Any = None
        self._trainable: list[Any] = []

    def refresh(self) -> None:
        """Forget what is known; the model has got or lost a layer."""
        self._holders = None

    @property
    def holders(self) -> list[Any]:
        """Every layer and cell within the model, the model itself left out."""
        if self._holders is None:
            found: dict[int, Any] = {}
            pending = list(self._model.layers)
            while pending:
                holder = pending.pop(0)
                if id(holder) not in found:
                    found[id(holder)] = holder
                    pending.extend(holder._sublayers())
            self._holders = list(found.values())
            self._key = None
        return self._holders

    def trainable(self) -> list[Any]:
        """The model's trainable weights."""
        model = self._model
        key = [(holder.trainable, holder.built) for holder in self.holders]
        key.append((model.trainable, model.built))
        if key != self._key:
            self._holders = None  # a layer that has been built may have got layers
            self._trainable = list(model.trainable_weights)
            key = [(holder.trainable, holder.built) for holder in self.holders]
            key.append((model.trainable, model.built))
            self._key = key
        return self._trainable

    def penalties(self) -> list[Any]:
        """The scalars that regularizers and `add_loss` contribute to the loss of this call."""
        found = []
        for weight in self.trainable():
            regularizer = getattr(weight, "regularizer", None)
            if regularizer is not None:
                found.append(regularizer(weight))
        return found + self.losses_of_call()

    def losses_of_call(self) -> list[Any]:
        """What the last call has added by `add_loss` and activity regularizers."""
        found: list[Any] = []
        for holder in (self._model, *self.holders):
            found += holder.__dict__.get("_call_losses", ())
        return found

    def clear_losses(self) -> None:
        """Forget what earlier calls added."""
        for holder in (self._model, *self.holders):
            holder.__dict__.pop("_call_losses", None)

    @property
    def stateful(self) -> bool:
        """Whether any layer carries state from batch to batch."""
        return any(isinstance(h, Layer) and h.stateful for h in self.holders)
