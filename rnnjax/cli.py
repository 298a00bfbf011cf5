"""The command line: `rnnjax circuits | simulate | stability | diagram | lyapunov | sweep | doctor`.

It sets the processor up for speed (`rnnjax.tune_cpu()`) and keeps compiled programs in the user's cache
folder (`rnnjax.cache()`); importing the package never does either.
"""

from pathlib import Path
from typing import Any

import click

from rnnjax._cli_arguments import (
    axis_of,
    builtins,
    circuit_called,
    file_of,
    followed,
    measure_called,
    told_of_file,
)

# rnnjax and JAX are imported inside the commands, so that `rnnjax --help` is quick.


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
            path = file_of(error)
            click.echo(f"error: {error if path is None else told_of_file(error, path)}", err=True)
            ctx.exit(2)
        except (Exception, SystemExit) as error:
            path = file_of(error)  # the file's own errors are told; a traceback is for ours
            if path is None:
                raise
            click.echo(f"error: {told_of_file(error, path)}", err=True)
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

    for name, cls in sorted(builtins().items()):
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
    from rnnjax._files.sinks import write_netcdf

    _keep_programs()
    circuit = circuit_called(name, settings)
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
    from rnnjax._numerics.trees import variable_names

    _keep_programs()
    circuit = circuit_called(name, settings)
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
@click.option(
    "--cycles", is_flag=True, help="Follow the periodic orbits from the Hopf points as well."
)
@_SET
@click.option("--variable", default=None, help="Of the state, on the vertical axis.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("out"), show_default=True)
def diagram(
    name: str, follow: str, second: str | None, cycles: bool, settings: tuple[str, ...],
    variable: str | None, out: Path,
) -> None:  # fmt: skip
    """Follow a circuit's equilibria along a parameter; write diagram.png and branch_K.nc.

    With a second parameter also plane.png and curve_K.nc, with --cycles orbits_K.nc.
    """
    import rnnjax
    from rnnjax._files.sinks import write_netcdf

    _keep_programs()
    circuit = circuit_called(name, settings)
    where, bounds = followed(follow, circuit, "--follow")
    other = None if second is None else followed(second, circuit, "--second")
    _folder(out)
    found = rnnjax.diagram(circuit, where, bounds, second=other, cycles=cycles)
    for k, branch in enumerate(found):
        click.secho(f"branch {k + 1}: {len(branch)} points", bold=True)
        _say_what_happens(branch)
        write_netcdf(branch.to_xarray(), out / f"branch_{k + 1}.nc")
    ax = rnnjax.plot.branches(found, variable=variable, unit=circuit.state_unit)
    for k, orbits in enumerate(found.orbits):
        click.secho(f"orbits {k + 1}: {len(orbits)} of them", bold=True)
        _say_what_happens(orbits)
        for limit in orbits.limits:
            if limit is not None:
                click.echo(f"   {limit!r}")
        write_netcdf(orbits.to_xarray(), out / f"orbits_{k + 1}.nc")
        rnnjax.plot.orbits(orbits, ax, variable=variable)
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
    if followed.unsolved:
        click.echo(
            f"   {followed.unsolved} unsolved: something happens there that could not be solved for"
        )
    for end in followed.endings:
        if not end.reached:
            click.echo(f"   {end.message}")


@main.command()
@_CIRCUIT
@_SET
@_DURATION
@click.option("--step", default=0.1, show_default=True, help="Fixed step in ms.")
@click.option("--count", type=int, default=None, help="How many exponents; all unless given.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("out"), show_default=True)
def lyapunov(
    name: str, settings: tuple[str, ...], duration: float, step: float, count: int | None, out: Path
) -> None:
    """Measure a circuit's Lyapunov exponents from rest; write lyapunov.nc and a picture."""
    import rnnjax
    from rnnjax._files.sinks import write_netcdf

    _keep_programs()
    circuit = circuit_called(name, settings)
    _folder(out)
    found = rnnjax.lyapunov_exponents(circuit, duration, step=step, count=count)
    for value, error in zip(found.exponents, found.standard_errors, strict=True):
        click.echo(f"{value:14.6g} ± {error:.1g} {found.unit}")
    click.echo(f"{rnnjax.Regime(int(found.regime)).name.lower()}, dimension {found.dimension:.4g}")
    write_netcdf(found.to_xarray(), out / "lyapunov.nc")
    _picture(rnnjax.plot.lyapunov(found), out / "lyapunov.png")
    click.echo(f"wrote {out / 'lyapunov.nc'} and {out / 'lyapunov.png'}")


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

    circuit = circuit_called(name, settings)
    over = [axis_of(each, circuit) for each in vary]
    measures = {each.rpartition(":")[2]: measure_called(each) for each in names}
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


def _folder(out: Path) -> None:
    from rnnjax._files.archive import check_writable

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
