"""The command line: `rnnjax circuits | simulate | stability | diagram | sweep | doctor`.

It sets the processor up for speed (`rnnjax.tune_cpu()`) and keeps compiled programs in the user's cache
folder (`rnnjax.cache()`); importing the package never does either.
"""

import importlib.util
import operator
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

# rnnjax and JAX are imported inside the commands, so that `rnnjax --help` is quick.

_BOUNDS = re.compile(r"^([^=]+)=([^:]+):([^:]+)$")
_RANGE = re.compile(r"^([^=]+)=([^:]+):([^:]+):([^:]+)$")


class _Group(click.Group):
    """Turns the package's errors into one line and exit status 2."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            click.echo(f"\nstopped: {error}" if str(error) else "\nstopped", err=True)
            ctx.exit(130)
        except (ValueError, TypeError, OSError, RuntimeError) as error:
            if isinstance(error, click.exceptions.Exit | click.Abort):
                raise
            click.echo(f"error: {error}", err=True)
            ctx.exit(2)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="rnnjax")
def main() -> None:
    """Neural circuits: how they move, where they rest, and when that changes.

    CIRCUIT is the name of a built-in (see `rnnjax circuits`) or path/to/file.py:Class.
    """


_CIRCUIT = click.argument("name", metavar="CIRCUIT")
_SET = click.option(
    "--set", "settings", multiple=True, metavar="FIELD=VALUE", help="Another value of a parameter."
)
_DURATION = click.option("--duration", default=1000.0, show_default=True, help="Length in ms.")
_DTYPE = click.option(
    "--dtype", type=click.Choice(["float32", "float64"]), default="float32", show_default=True
)


@main.command()
def circuits() -> None:
    """List the built-in circuits: parameters, units, defaults, references."""
    from rnnjax._parameter import parameter_fields

    for name, cls in sorted(_builtins().items()):
        lines = [line.strip() for line in (cls.__doc__ or "").strip().splitlines()]
        click.secho(name, bold=True)
        click.echo(f"  {lines[0]}")
        for field in parameter_fields(cls()):
            unit = "" if field.unit == "1" else field.unit
            click.echo(f"  {field.path:<24}{_value(field.value):>12} {unit:<6} {field.doc}")
        if "References:" in lines:
            click.echo("  " + " ".join(lines[lines.index("References:") + 1 :]).strip())
        click.echo()


@main.command()
@_CIRCUIT
@_SET
@_DURATION
@click.option("--points", default=1001, show_default=True, help="States kept.")
@_DTYPE
@click.option("--out", type=click.Path(path_type=Path), default=Path("out"), show_default=True)
def simulate(
    name: str, settings: tuple[str, ...], duration: float, points: int, dtype: str, out: Path
) -> None:
    """Simulate a circuit from rest; write trajectory.nc and a picture."""
    import numpy as np

    import rnnjax
    from rnnjax._store import write_netcdf

    _keep_programs()
    circuit = _circuit(name, settings)
    _folder(out)
    run = rnnjax.simulate(circuit, np.linspace(0, duration, points), dtype=dtype)
    write_netcdf(run.to_xarray(), out / "trajectory.nc")
    ax = rnnjax.plot.trajectory(run)
    _picture(ax, out / "trajectory.png")
    click.echo(f"wrote {out / 'trajectory.nc'} and {out / 'trajectory.png'}")


@main.command()
@_CIRCUIT
@_SET
def stability(name: str, settings: tuple[str, ...]) -> None:
    """Find where a circuit can rest, and say whether that is stable."""
    import rnnjax
    from rnnjax._linalg import variable_names

    _keep_programs()
    circuit = _circuit(name, settings)
    found = rnnjax.find_equilibria(circuit)
    click.echo(f"{len(found)} found from {len(found.found)} guesses")
    for k, near in enumerate(found.linearizations):
        click.secho(f"{k + 1}: {near.stability}", bold=True)
        for variable, x in list(zip(variable_names(near.state), _flat(near.state), strict=True))[
            :8
        ]:
            click.echo(f"   {variable} = {x:.8g}")
        for value in near.eigenvalues[:4]:
            turns = f", {1000 * abs(value.imag) / 6.283185307179586:.5g} Hz" if value.imag else ""
            click.echo(f"   eigenvalue {1000 * value:.6g} per s{turns}")


@main.command()
@_CIRCUIT
@click.option(
    "--follow", required=True, metavar="FIELD=LOW:HIGH", help="The parameter, from where to where."
)
@click.option(
    "--second",
    default=None,
    metavar="FIELD=LOW:HIGH",
    help="Another one: folds and Hopf points are followed in the plane of both.",
)
@_SET
@click.option("--variable", default=None, help="Of the state, on the vertical axis.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("out"), show_default=True)
def diagram(
    name: str, follow: str, second: str | None, settings: tuple[str, ...], variable: str | None,
    out: Path,
) -> None:  # fmt: skip
    """Follow a circuit's equilibria along a parameter; write diagram.png and branch_K.nc.

    With a second parameter also plane.png and curve_K.nc.
    """
    import rnnjax
    from rnnjax._store import write_netcdf

    _keep_programs()
    circuit = _circuit(name, settings)
    where, bounds = _followed(follow, circuit, "--follow")
    other = None if second is None else _followed(second, circuit, "--second")
    _folder(out)
    found = rnnjax.diagram(circuit, where, bounds, second=other)
    for k, branch in enumerate(found):
        click.secho(f"branch {k + 1}: {len(branch)} points", bold=True)
        _say_what_happens(branch)
        write_netcdf(branch.to_xarray(), out / f"branch_{k + 1}.nc")
    ax = rnnjax.plot.branches(found, variable=variable, unit=circuit.state_unit)
    _picture(ax, out / "diagram.png")
    for k, curve in enumerate(found.curves):
        click.secho(f"curve {k + 1} of {curve.label}: {len(curve)} points", bold=True)
        _say_what_happens(curve)
        write_netcdf(curve.to_xarray(), out / f"curve_{k + 1}.nc")
    if found.curves:
        _picture(rnnjax.plot.curves(found.curves), out / "plane.png")
    click.echo(f"wrote {out / 'diagram.png'} and {len(found)} branches beside it")
    if other is not None:
        click.echo(f"wrote {len(found.curves)} curves" + " and plane.png" * bool(found.curves))


def _say_what_happens(followed: Any) -> None:
    """The bifurcations on a branch or a curve, and what is amiss with its ends."""
    for point in followed.bifurcations:
        click.echo(f"   {point!r}")
    for end in followed.endings:
        if not end.reached:
            click.echo(f"   {end.message}")


@main.command()
@_CIRCUIT
@click.option(
    "--vary", multiple=True, required=True, metavar="FIELD=LOW:HIGH:POINTS", help="An axis."
)
@click.option("--measure", "names", multiple=True, default=("amplitude",), show_default=True)
@_SET
@_DURATION
@click.option("--transient", default=0.0, show_default=True, help="Not measured, in ms.")
@click.option("--step", default=0.1, show_default=True, help="Fixed step in ms.")
@_DTYPE
@click.option("--out", type=click.Path(path_type=Path), default=Path("out"), show_default=True)
def sweep(
    name: str, vary: tuple[str, ...], names: tuple[str, ...], settings: tuple[str, ...],
    duration: float, transient: float, step: float, dtype: str, out: Path,
) -> None:  # fmt: skip
    """Simulate a circuit over a grid of parameters; write sweep.zarr and a map per measure.

    Measures are the package's (amplitude, final, frequency, growth, mean, min_max, period) or
    path/to/file.py:function, a function of the circuit.
    """
    import rnnjax

    rnnjax.tune_cpu()
    _keep_programs()
    from rnnjax.solvers import RK4

    circuit = _circuit(name, settings)
    over = [_axis(each, circuit) for each in vary]
    measures = {each.rpartition(":")[2]: _measure(each) for each in names}
    _folder(out)
    store = out / "sweep.zarr"
    data = rnnjax.sweep(
        circuit, measures, over, duration=duration, transient=transient, step=step,
        solver=RK4(), store=store, dtype=dtype,
    )  # fmt: skip
    click.echo(f"wrote {store}")
    failed = int((data["status"] != 0).sum())
    if failed:
        click.echo(f"{failed} of {data['status'].size} points failed; see the variable `status`")
    for each in data.data_vars:
        if each != "status" and data[each].ndim in (1, 2):
            draw = rnnjax.plot.sweep_curve if data[each].ndim == 1 else rnnjax.plot.sweep_map
            _picture(draw(data[each]), out / f"{each}.png")
            click.echo(f"wrote {out / f'{each}.png'}")


@main.command()
def doctor() -> None:
    """Say what this machine has, how it is set up, and what is slow here."""
    import rnnjax

    rnnjax.tune_cpu()
    for key, value in rnnjax.doctor().items():
        click.echo(f"{key:<20} {value}")


def _keep_programs() -> None:
    """Compile once, not once a call; where nothing can be written, every time."""
    import contextlib

    import rnnjax

    with contextlib.suppress(OSError):
        rnnjax.cache()


def _builtins() -> dict[str, Any]:
    import inspect

    from rnnjax import circuits as family

    return {
        name: cls
        for name, cls in vars(family).items()
        if isinstance(cls, type)
        and issubclass(cls, family.AbstractCircuit)
        and not inspect.isabstract(cls)
    }


def _circuit(name: str, settings: tuple[str, ...]) -> Any:
    """The circuit by its name, with other values where they were given."""
    import equinox as eqx
    import numpy as np

    from rnnjax._parameter import check

    if ":" in name:
        cls = _from_file(name)
    else:
        plain = {re.sub(r"[-_]", "", k).lower(): c for k, c in _builtins().items()}
        cls = plain.get(re.sub(r"[-_]", "", name).lower())
        if cls is None:
            raise ValueError(
                f"no circuit called {name}: expected one of {', '.join(sorted(_builtins()))}, or "
                "path/to/file.py:Class"
            )
    circuit = cls()
    for each in settings:
        field, _, text = each.partition("=")
        where = _where(circuit, field, "--set")
        shape = np.shape(where(circuit))
        value = np.broadcast_to(np.asarray(_number(text, f"--set {each}")), shape).copy()
        circuit = eqx.tree_at(where, circuit, value)
    check(circuit)
    return circuit


def _from_file(name: str) -> Callable[..., Any]:
    path, _, attribute = name.rpartition(":")
    if not Path(path).is_file():
        raise ValueError(f"no file {path}: expected path/to/file.py:{attribute or 'Class'}")
    spec = importlib.util.spec_from_file_location(Path(path).stem, path)
    if spec is None or spec.loader is None:
        raise ValueError(f"{path}: expected a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    if not hasattr(module, attribute):
        raise ValueError(f"{path} has no {attribute}")
    return getattr(module, attribute)


def _measure(name: str) -> Any:
    if ":" in name:
        return _from_file(name)
    from rnnjax import measures as family

    known = {
        re.sub(r"(?<!^)(?=[A-Z])", "_", k).lower(): c
        for k, c in vars(family).items()
        if isinstance(c, type) and issubclass(c, family.AbstractMeasure) and c.__abstractmethods__ == frozenset()
    }  # fmt: skip
    if name not in known:
        raise ValueError(
            f"no measure called {name}: expected one of {', '.join(sorted(known))}, or "
            "path/to/file.py:function"
        )
    cls: Any = known[name]
    return cls()


def _axis(text: str, circuit: Any) -> Any:
    import numpy as np

    import rnnjax

    match = _RANGE.match(text)
    if match is None:
        raise ValueError(f"--vary {text}: expected FIELD=LOW:HIGH:POINTS, e.g. tau_i=5:100:1000")
    field, *numbers = match.groups()
    low, high, count = (_number(x, f"--vary {text}") for x in numbers)
    if count < 1 or count != int(count):
        raise ValueError(
            f"--vary {text}: expected a positive whole number of points, got {count:g}"
        )
    return rnnjax.axis(_where(circuit, field, "--vary"), np.linspace(low, high, int(count)))


def _followed(text: str, circuit: Any, option: str) -> tuple[Any, tuple[float, float]]:
    """The parameter that is followed, and its bounds."""
    match = _BOUNDS.match(text)
    if match is None:
        raise ValueError(f"{option} {text}: expected FIELD=LOW:HIGH, e.g. tau_i=5:100")
    field, *numbers = match.groups()
    low, high = (_number(x, f"{option} {text}") for x in numbers)
    return _where(circuit, field, option), (low, high)


def _where(circuit: Any, field: str, option: str) -> Any:
    """The parameter of that name."""
    from rnnjax._parameter import parameter_fields, path_of

    where = operator.attrgetter(field)
    try:
        path_of(circuit, where)
    except ValueError:
        known = ", ".join(f.path for f in parameter_fields(circuit))
        raise ValueError(
            f"{option} {field}: {type(circuit).__name__} has no such parameter; expected one of {known}"
        ) from None
    return where


def _number(text: str, what: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{what}: expected a number, got {text!r}") from None


def _folder(out: Path) -> None:
    from rnnjax._store import check_writable

    check_writable(out / "file")


def _picture(ax: Any, path: Path) -> None:
    ax.figure.savefig(path, dpi=150, bbox_inches="tight")
    ax.figure.clear()


def _flat(state: Any) -> Any:
    import jax
    import numpy as np

    return np.concatenate([np.ravel(x) for x in jax.tree.leaves(state)])


def _value(value: Any) -> str:
    import numpy as np

    return f"{float(value):g}" if np.ndim(value) == 0 else "x".join(map(str, np.shape(value)))


if __name__ == "__main__":
    main()
