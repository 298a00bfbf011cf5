"""Weights that obey Dale's law."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from rnnjax._gate import one_number, own_truths
from rnnjax._machine.verb import verb
from rnnjax._parameter import counted, parameter
from rnnjax._types import Array, Expected, Key, Matrix, Shaped
from rnnjax.connectivity._base import (
    AbstractConnectivity,
    check_density,
    check_mask,
    check_square,
    masked,
    truths,
)


def _kinds(excitatory: Expected[Sequence[bool] | None]) -> tuple[bool, ...] | None:
    """Whether each unit excites."""
    if excitatory is None:
        return None
    return tuple(np.ravel(own_truths(excitatory, "Dale.excitatory")).tolist())


class Dale(AbstractConnectivity):
    r"""Each unit excites or inhibits all its targets: $M_{ij} = m_{ij} |W_{ij}|\, s_j$.

    $s_j = 1$ for an excitatory unit and $-1$ for an inhibitory one, $m_{ij} \in \{0, 1\}$ says
    where there are synapses. $W$ is free, so no fit can break the law or grow a synapse; only its
    absolute values matter. The default is the pair of Dayan and Abbott (2001), section 7.5. The
    law is that of these synapses alone: input and readout weights of a network are what they are.

    Args:
        weights: `(units, units)`, `[post, pre]`; signs are ignored.
        excitatory: per sending unit, whether it excites. The first 80 % by default, or the first
            of two.
        mask: `(units, units)`, whether there is a synapse onto the first from the second; all of
            them unless given. A weight of 0 is a synapse that can grow.

    Raises:
        ValueError: if `weights` is not square, `excitatory` does not have one entry per unit, or
            `mask` has another shape.

    References:
        The absolute value is one usual choice (Song, Yang and Wang 2016, PLoS Computational
        Biology 12:e1004792, use a rectifier, which loses the gradient of a silent synapse).
    """

    weights: Matrix = parameter([[1.25, 1.0], [1.0, 0.0]], "1", doc="strengths [post, pre]")
    excitatory: tuple[bool, ...] | None = eqx.field(
        static=True,
        default=None,
        converter=_kinds,
    )

    mask: Shaped[Any, "..."] | None = eqx.field(
        converter=partial(truths, name="Dale.mask"), default=None
    )

    def __check_init__(self) -> None:
        """Refuse a matrix that is not square, or signs or a mask that do not fit it."""
        check_square("Dale", self.weights)
        check_mask("Dale", self.mask, self.weights)
        if self.excitatory is not None and len(self.excitatory) != self.units:
            raise ValueError(
                f"Dale.excitatory: expected one entry per unit ({self.units}), got "
                f"{len(self.excitatory)}"
            )

    @classmethod
    @verb
    def random(
        cls, units: int, *, key: Key, gain: float = 1.5, excitatory: float = 0.8,
        density: float = 1.0,
    ) -> "Dale":  # fmt: skip
        r"""Weights $|z_{ij}|\, s_j a_j$ with normal $z$, excitation and inhibition in balance on the mean.

        With a share $f$ of excitatory units, inhibitory weights are $f / (1 - f)$ times as strong, and
        $a$ is such that the spectrum fills a disk of radius $g$, but for a few outliers. Each
        synapse is there with probability $p$.

        Args:
            units: $N$.
            key: a JAX random key.
            gain: $g$.
            excitatory: $f$, in (0, 1); these units come first.
            density: $p$, in (0, 1].

        Raises:
            ValueError: for a share that leaves no unit of one kind, or a density that is none.

        References:
            Rajan and Abbott (2006), Physical Review Letters 97:188104, for the radius; half-normal
            weights are our choice.
        """
        gain, density = one_number(gain, "gain"), one_number(density, "density")
        check_density("Dale", density)
        excitatory = one_number(excitatory, "excitatory")
        count = round(excitatory * counted(units, "units"))
        if not 0 < count < units:
            raise ValueError(
                f"Dale.random: expected units of both kinds, got {count} excitatory of {units}"
            )
        shape = (units, units)
        drawn = jnp.abs(jax.random.normal(key, shape, jnp.result_type(float)))
        ratio = count / (units - count)
        # the variance of a half-normal weight that is there with probability p
        scale = gain / np.sqrt(units * density * (1 - 2 * density / np.pi) * ratio)
        kinds = np.arange(units) < count
        strength = np.where(kinds, scale, scale * ratio).astype(drawn.dtype)
        mask = None
        if density < 1:
            mask = jax.random.bernoulli(jax.random.fold_in(key, 1), density, shape)
        return cls(drawn * strength, tuple(kinds.tolist()), mask)

    def signs(self) -> np.ndarray:
        """1 per excitatory unit, -1 per inhibitory one."""
        if self.excitatory is not None:
            return np.where(self.excitatory, 1.0, -1.0)
        split = int(np.ceil(0.8 * self.units)) if self.units > 2 else 1
        return np.where(np.arange(self.units) < split, 1.0, -1.0)

    def matrix(self) -> Array:
        """The signed weights of the synapses that are there, 0 elsewhere."""
        signs = jnp.asarray(self.signs(), jnp.result_type(self.weights))
        return masked(self.mask, jnp.abs(self.weights)) * signs

    @property
    def units(self) -> int:
        """The number of units."""
        return self.weights.shape[0]  # pyright: ignore
