"""Weights that obey Dale's law."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from rnnjax._parameter import counted, parameter
from rnnjax._types import Array, Key, Matrix
from rnnjax.connectivity._base import AbstractConnectivity, check_square


class Dale(AbstractConnectivity):
    r"""Each unit excites or inhibits all its targets: $M_{ij} = |W_{ij}|\, s_j$.

    $s_j = 1$ for an excitatory unit and $-1$ for an inhibitory one. $W$ is free, so no fit can
    break the law; only its absolute values matter. The default is the pair of Dayan and Abbott
    (2001), section 7.5.

    Args:
        weights: `(units, units)`, `[post, pre]`; signs are ignored.
        excitatory: per sending unit, whether it excites. The first 80 % by default, or the first
            of two.

    Raises:
        ValueError: if `weights` is not square or `excitatory` does not have one entry per unit.

    References:
        The absolute value is one usual choice (Song, Yang and Wang 2016, PLoS Computational
        Biology 12:e1004792, use a rectifier, which loses the gradient of a silent synapse).
    """

    weights: Matrix = parameter([[1.25, 1.0], [1.0, 0.0]], "1", doc="strengths [post, pre]")
    excitatory: tuple[bool, ...] | None = eqx.field(
        static=True,
        default=None,
        converter=lambda x: None if x is None else tuple(bool(k) for k in x),
    )

    def __check_init__(self) -> None:
        """Refuse a matrix that is not square, or signs that do not fit it."""
        check_square("Dale", self.weights)
        if self.excitatory is not None and len(self.excitatory) != self.units:
            raise ValueError(
                f"Dale.excitatory: expected one entry per unit ({self.units}), got "
                f"{len(self.excitatory)}"
            )

    @classmethod
    def random(cls, units: int, *, key: Key, gain: float = 1.5, excitatory: float = 0.8) -> "Dale":
        r"""Weights $|z_{ij}|\, s_j a_j$ with normal $z$, excitation and inhibition in balance on the mean.

        With a share $f$ of excitatory units, inhibitory weights are $f / (1 - f)$ times as strong, and
        $a$ is such that the spectrum fills a disk of radius $g$, but for a few outliers.

        Args:
            units: $N$.
            key: a JAX random key.
            gain: $g$.
            excitatory: $f$, in (0, 1); these units come first.

        Raises:
            ValueError: for a share that leaves no unit of one kind.

        References:
            Rajan and Abbott (2006), Physical Review Letters 97:188104, for the radius; half-normal
            weights are our choice.
        """
        count = round(excitatory * counted(units, "units"))
        if not 0 < count < units:
            raise ValueError(
                f"Dale.random: expected units of both kinds, got {count} excitatory of {units}"
            )
        drawn = jnp.abs(jax.random.normal(key, (units, units), jnp.result_type(float)))
        ratio = count / (units - count)
        scale = gain / np.sqrt(units * (1 - 2 / np.pi) * ratio)
        kinds = np.arange(units) < count
        strength = np.where(kinds, scale, scale * ratio).astype(drawn.dtype)
        return cls(drawn * strength, tuple(kinds.tolist()))

    def signs(self) -> np.ndarray:
        """1 per excitatory unit, -1 per inhibitory one."""
        if self.excitatory is not None:
            return np.where(self.excitatory, 1.0, -1.0)
        split = int(np.ceil(0.8 * self.units)) if self.units > 2 else 1
        return np.where(np.arange(self.units) < split, 1.0, -1.0)

    def matrix(self) -> Array:
        """The signed weights."""
        return jnp.abs(self.weights) * jnp.asarray(self.signs(), jnp.result_type(self.weights))

    @property
    def units(self) -> int:
        """The number of units."""
        return self.weights.shape[0]  # pyright: ignore
