"""Where can it rest, and is that stable? `find_equilibria` and `linearize`."""

import enum
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Complex

from rnnjax._equilibria.guesses import GUESSES as GUESSES
from rnnjax._equilibria.guesses import flat_guesses
from rnnjax._numerics.deflation import deflated, repeats
from rnnjax._numerics.eigenvalues import (
    eigenvalues,
    find_root,
    flatten,
    named_leaves,
    refuse,
    root_of,
    vanishes,
    variable_names,
)
from rnnjax._numerics.roots_by_products import rests, root_by_products, search
from rnnjax._parameter import counted
from rnnjax._results import ConvergenceError, Status
from rnnjax._types import Array, Float, Key, in_float64, is_traced
from rnnjax.circuits._base import AbstractCircuit
from rnnjax.circuits._checks import as_input, check_run, starting_state

_MARGINAL = 1e-9  # relative real part below which an eigenvalue counts as on the axis


class Stability(enum.IntEnum):
    """What an equilibrium looks like from nearby, by the eigenvalues of the Jacobian."""

    STABLE_NODE = 0
    STABLE_FOCUS = 1
    UNSTABLE_NODE = 2
    UNSTABLE_FOCUS = 3
    SADDLE = 4
    CENTER = 5  # the leading pair is on the imaginary axis
    MARGINAL = 6  # the leading eigenvalue is zero: a line of equilibria, or a bifurcation

    def __str__(self) -> str:
        """In words."""
        return self.name.lower().replace("_", " ")


class Linearization(eqx.Module):
    r"""A circuit seen from nearby: $\dot \delta = J \delta$.

    Attributes:
        state: where it was linearized.
        jacobian: $J_{ij} = \partial \dot x_i / \partial x_j$ per ms, `(n, n)`, by autodiff.
    """

    state: Any
    jacobian: Float[Any, "*batch n n"]

    @property
    def variables(self) -> list[str]:
        """The names of the variables, in the order of the Jacobian's rows."""
        return variable_names(self.state)

    @property
    def eigenvalues(self) -> Complex[Any, "*batch n"]:
        """Eigenvalues per ms, the one with the largest real part first."""
        return eigenvalues(self.jacobian)

    @property
    def eigenvectors(self) -> Complex[Any, "n n"]:
        """Right eigenvectors in columns, in the order of the eigenvalues."""
        values, vectors = np.linalg.eig(np.asarray(self.jacobian))
        values = np.asarray(values, complex)
        return vectors[:, np.argsort(-np.real(values), kind="stable")].astype(complex)

    @property
    def left_eigenvectors(self) -> Complex[Any, "n n"]:
        """Left eigenvectors in rows: `left @ eigenvectors` is the identity.

        Raises:
            ValueError: where the eigenvectors do not span the space (a defective Jacobian).
        """
        right = self.eigenvectors
        if np.linalg.cond(right) > 1e12:
            raise ValueError("the eigenvectors do not span the space: the Jacobian is defective")
        return np.linalg.inv(right)

    @property
    def growth_rate(self) -> Any:
        """The largest real part of an eigenvalue, per ms; it can be differentiated."""
        return self.eigenvalues[..., 0].real

    @property
    def time_constant(self) -> Any:
        """The slowest time constant, `-1 / growth_rate`, in ms; negative where it grows."""
        return -1 / self.growth_rate

    @property
    def frequency(self) -> Any:
        """The frequency of the leading pair, in Hz; 0 for a real eigenvalue."""
        return 1000 * abs(self.eigenvalues[..., 0].imag) / (2 * np.pi)

    @property
    def stable(self) -> Any:
        """Whether every perturbation decays."""
        return self.growth_rate < 0

    @property
    def stability(self) -> Any:
        """The kind of equilibrium; codes of `Stability` where there is a batch or a trace."""
        codes = classify(self.eigenvalues)
        return codes if is_traced(codes) or np.ndim(codes) else Stability(int(codes))

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{v:.5g}</td><td>{1000 * abs(v.imag) / (2 * np.pi):.4g}</td></tr>"
            for v in np.ravel(self.eigenvalues)[:20]
        )
        return (
            f"<b>{self.stability}</b><table><tr><th>eigenvalue (1/ms)</th><th>Hz</th></tr>{rows}"
            "</table>"
        )

    def __repr__(self) -> str:
        """The kind, the leading eigenvalue and where it is."""
        if is_traced(self.jacobian) or np.ndim(self.jacobian) > 2:
            return f"Linearization(jacobian of shape {np.shape(self.jacobian)})"
        tail = f", {self.frequency:.4g} Hz" if self.frequency else ""
        return f"Linearization({self.stability}, leading eigenvalue {self.eigenvalues[0]:.5g} /ms{tail})"


class Equilibria(eqx.Module):
    """The equilibria that were found; fixed in shape, the found ones first.

    There is an entry per guess, and with `deflate` one more per guess and round.

    Attributes:
        states: in the circuit's structure, each leaf `(guess, ...)`; NaN where nothing was found.
        found: `(guess,)`, whether this entry is an equilibrium, each of them once.
        residual: `(guess,)`, the largest entry of the vector field there, per ms.
        jacobian: `(guess, n, n)` per ms; None where they were found `matrix_free`.
        status: `(guess,)`, a `Status` per guess in the same order; guesses that ran into an
            equilibrium already listed are OK and not `found`.
        certificate: of `enumerate_equilibria`: what is proved; None where nothing is.
    """

    states: Any
    found: Any
    residual: Any
    jacobian: Any
    status: Any
    certificate: Any = None

    @property
    def complete(self) -> bool:
        """Whether it is proved that there are no others, in the box if one was given."""
        return self.certificate is not None and self.certificate.complete

    def __getitem__(self, index: int) -> Any:
        """The state of one of them."""
        return jax.tree.map(lambda x: x[index], self.states)

    def __len__(self) -> int:
        """How many there are.

        Raises:
            ValueError: for a batch, made by `vmap`.
        """
        if np.ndim(self.found) > 1:
            raise ValueError("a batch of results: count with `.found.sum(-1)`, or select one lane")
        return int(np.sum(self.found))

    @property
    def linearizations(self) -> list[Linearization]:
        """One per equilibrium.

        Raises:
            ValueError: where they were found without a Jacobian.
        """
        if self.jacobian is None:
            raise ValueError(
                "found matrix_free, without a Jacobian: ask leading_eigenvalues(circuit, state)"
            )
        return [Linearization(self[k], self.jacobian[k]) for k in range(len(self))]

    @property
    def stability(self) -> list[Stability]:
        """The kind of each equilibrium."""
        return [each.stability for each in self.linearizations]

    def to_xarray(self) -> Any:
        """An `xarray.Dataset` with one entry per equilibrium."""
        from rnnjax._files.datasets import equilibria_dataset

        states = {k: v[: len(self)] for k, v in named_leaves(self.states).items()}
        kinds, rates = ["not classified"] * len(self), [np.nan] * len(self)
        if self.jacobian is not None:
            kinds = [str(s) for s in self.stability]
            rates = [each.growth_rate for each in self.linearizations]
        return equilibria_dataset(states, kinds, rates, self.residual[: len(self)])

    def _repr_html_(self) -> str:
        return self.to_xarray()._repr_html_()

    def __repr__(self) -> str:
        """Where they are and of what kind."""
        if is_traced(self.found) or np.ndim(self.found) > 1:
            return f"Equilibria(up to {np.shape(self.found)[-1]})"
        kinds = ["not classified"] * len(self) if self.jacobian is None else self.stability
        rows = [
            f"  {', '.join(f'{n}={_brief(x)}' for n, x in named_leaves(self[k]).items())}: {kind}"
            for k, kind in enumerate(kinds)
        ]
        proved = "" if self.certificate is None else f" {self.certificate.summary},"
        return "\n".join([f"Equilibria({len(self)} found,{proved}", *rows, ")"])


def linearize(
    circuit: AbstractCircuit[Any], state: Any, input: Any = None, *, time: float = 0.0
) -> Linearization:
    r"""The Jacobian of a circuit at a state, exact (by automatic differentiation), in float64.

    $J_{ij} = \partial f_i(x, u) / \partial x_j$, per ms, in the order of the flattened state.

    Args:
        circuit: the circuit.
        state: where; it need not be an equilibrium.
        input: the input; held at its value at `time`.
        time: in ms.

    Raises:
        ValueError: for a state or an input that do not fit the circuit.
    """
    check_run(circuit, input, None, None)
    state = starting_state(circuit, input, state)
    return in_float64(_linearized, circuit, as_input(circuit, input), state, np.float64(time))


def find_equilibria(
    circuit: AbstractCircuit[Any],
    input: Any = None,
    *,
    guesses: Any = None,
    key: Key | None = None,
    deflate: int = 0,
    matrix_free: bool = False,
    time: float = 0.0,
    max_steps: int = 100,
    throw: bool = True,
) -> Equilibria:
    r"""Solve $f(x, u) = 0$ from many guesses, by trust-region Newton steps, in float64.

    Each equilibrium is listed once. Their derivative with respect to the circuit and the input
    is that of the implicit function, $dx = -J^{-1} (\partial f / \partial \theta)\, d\theta$;
    where nothing was found it is NaN, as the state is.

    Args:
        circuit: the circuit.
        input: the input; held at its value at `time`.
        guesses: the states to start from, with a guess axis in front of every leaf; one state;
            or a `Trajectory`, of which 64 states are taken, evenly spaced or, with `key`, at
            random. Unless given 64 of them: `rest()`, and perturbations of it drawn with `key` at
            scales from 0.1 to 100. From kinks and folds some guesses lead nowhere; take many.
        key: for the guesses.
        deflate: how often to begin anew from the same guesses with the equilibria found so far
            divided out, so that others are found. Each round adds as many entries to the result
            as there are guesses.
        matrix_free: for circuits of many units: Newton steps by GMRES, from products with the
            Jacobian alone, one guess after the other; from `rest()` unless `guesses` are given.
            Where eigenvalues surround zero (strong random weights) it often finds nothing.
        time: in ms.
        max_steps: the most steps from one guess.
        throw: raise if nothing was found. Where a JAX transformation is under way nothing can
            be raised: see `found`.

    Raises:
        ConvergenceError: if nothing was found and `throw` is true.
        ValueError: for guesses that do not fit, or `deflate` with `matrix_free`.
    """
    check_run(circuit, input, None, None)
    rest = starting_state(circuit, input, None)
    if matrix_free and deflate:
        raise ValueError("deflate: needs Jacobians; leave it out, or matrix_free")
    alone = matrix_free and guesses is None and key is None
    starts = flat_guesses(rest, rest if alone else guesses, key)
    rounds = counted(deflate, "deflate") if deflate != 0 else 0
    effort = max_steps, rounds, bool(matrix_free)
    result = in_float64(
        _find, circuit, as_input(circuit, input), rest, starts, np.float64(time), effort
    )
    if is_traced(result):
        return result
    if throw and not result.found.any():
        best = float(np.nanmin(result.residual, initial=np.inf))
        raise ConvergenceError(
            f"no equilibrium found from {len(starts)} guesses; the smallest residual was "
            f"{best:.3g} per ms. {Status.NOT_CONVERGED.message}"
        )
    return result


def classify(values: Complex[Any, "*batch n"]) -> Any:
    """Codes of `Stability` from eigenvalues, the leading one first."""
    xp = jnp if is_traced(values) else np
    real, size = values.real, abs(values).max(-1)
    leading = values[..., 0]
    edge = xp.maximum(_MARGINAL, 50 * np.finfo(real.dtype).eps) * size
    turns = abs(leading.imag) > edge
    on_axis = abs(leading.real) <= edge
    saddle = (real > edge[..., None]).any(-1) & (real < -edge[..., None]).any(-1)
    node = xp.where(leading.real < 0, Stability.STABLE_NODE, Stability.UNSTABLE_NODE)
    return xp.where(
        on_axis,
        xp.where(turns, Stability.CENTER, Stability.MARGINAL),
        xp.where(saddle, Stability.SADDLE, node + turns),
    )


def _field(circuit: Any, input: Any, time: Any, unravel: Callable[[Array], Any]) -> Any:
    """The vector field on the flattened state, the input held."""
    held = input(time)
    return lambda x: flatten(circuit(unravel(x), held))[0]


@eqx.filter_jit
def _linearized(circuit: Any, input: Any, state: Any, time: Any) -> Linearization:
    x, unravel = flatten(jax.tree.map(jnp.asarray, state))
    return Linearization(state, jax.jacfwd(_field(circuit, input, time, unravel))(x))


@eqx.filter_jit
def _find(
    circuit: Any, input: Any, rest: Any, starts: Any, time: Any, effort: tuple[int, int, bool]
) -> Equilibria:
    max_steps, rounds, matrix_free = effort
    x, unravel = flatten(jax.tree.map(jnp.asarray, rest))
    units = jnp.where(x == 0, 1.0, abs(x))
    field = _field(circuit, input, time, unravel)
    given, rest_of = eqx.partition((circuit, input, time), eqx.is_array)

    def equations(given: Any, x: Array, _: None) -> Array:
        circuit, input, time = eqx.combine(given, rest_of)
        return _field(circuit, input, time, unravel)(x)

    def still(x: Array) -> Array:
        return equations(lax.stop_gradient(given), x, None)

    starts, units = lax.stop_gradient((jnp.asarray(starts), units))
    if matrix_free:
        x = lax.map(lambda guess: search(still, guess, max_steps), starts)
        solved = lax.map(lambda x: rests(still, x), x)
        x = jnp.where(solved[:, None], x, 0.0)
        x = jax.vmap(lambda x: root_by_products(lambda g, x: equations(g, x, None), given, x))(x)
        jacobian = None
    else:
        x, finite = jax.vmap(lambda guess: find_root(still, guess, max_steps))(starts)
        if rounds:
            x, finite = deflated(still, starts, (x, finite), units, rounds, max_steps)
        x = jax.vmap(lambda x: root_of(equations, given, x, None))(x)
        jacobian = jax.vmap(jax.jacfwd(field))(x)
        solved = finite & jax.vmap(vanishes)(abs(jax.vmap(field)(x)), jacobian, x)
    residual = abs(jax.vmap(field)(x)).max(-1)
    found = solved & ~repeats(x, solved, units)
    order = jnp.argsort(~found, stable=True)
    x, residual, solved, found = (y[order] for y in (x, residual, solved, found))
    return Equilibria(
        states=jax.vmap(unravel)(refuse(found[:, None], x)),
        found=found,
        residual=residual,
        jacobian=None if jacobian is None else refuse(found[:, None, None], jacobian[order]),
        status=jnp.where(solved, Status.OK, Status.NOT_CONVERGED).astype(jnp.int32),
    )


def _brief(x: Any) -> str:
    return (
        f"{float(x):.6g}"
        if np.ndim(x) == 0
        else f"<{len(x)} in [{np.min(x):.4g}, {np.max(x):.4g}]>"
    )
