"""The machine: what makes it fast, what it is, and what is slow here."""

import importlib.metadata
import os
import pathlib
import platform
import re
import subprocess
import sys

import jax

from rnnjax._results import warn_caller

_HOISTING = "--xla_backend_extra_options=xla_cpu_small_while_loop_byte_threshold=1000000"
_KNOWN_JAXLIB = ("0.10.", "0.12.")  # measured: accepts the flag, and gains from it
# LAPACK of a batch waits for threads of the pool it runs in; on two devices at once, forever.
LAPACK_WAITS = importlib.metadata.version("jaxlib").startswith("0.10.")
_tuned: list[int] = []
_mentioned: list[bool] = []


def tune_cpu(devices: int | None = None) -> bool:
    """Set XLA up for sweeps on this machine's processor; call it before anything computes.

    Time loops over a tile of lanes are then compiled whole, and lanes (points of a sweep, batches,
    trials and seeds of a fit) are spread over `devices` host devices (the number of cores by
    default). Results stay the same to rounding; sweeps of small circuits run several times faster.
    Importing the package never does this, the command line does.

    Returns:
        Whether the settings took effect. They don't, with a warning that says why, where JAX
        has computed something already or where its XLA does not know the flag (an unknown flag
        would end the process, so that it is tried in another one first).
    """
    if _tuned:
        return True
    if devices is not None and (isinstance(devices, bool) or not isinstance(devices, int)):
        raise TypeError(f"devices: expected a whole number of them, got {devices!r}")
    devices = devices or _cores()
    version = importlib.metadata.version("jaxlib")
    if not version.startswith(_KNOWN_JAXLIB) and not _accepted():
        warn_caller(
            f"jaxlib {version} does not know the flag that makes sweeps fast on a CPU; "
            "everything works, only slower"
        )
        return False
    try:
        jax.config.update("jax_num_cpu_devices", devices)  # refused once a backend runs
    except RuntimeError:
        warn_caller(
            "tune_cpu() came too late: JAX has already computed something in this process. "
            "Call it right after importing rnnjax"
        )
        return False
    flags = os.environ.get("XLA_FLAGS", "")
    if "xla_cpu_small_while_loop_byte_threshold" not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} {_HOISTING}".strip()
    _tuned.append(devices)
    return True


def cache(folder: str | os.PathLike[str] | None = None) -> pathlib.Path:
    """Keep compiled programs on disk, so that the next process need not compile them again.

    Importing the package never does this, the command line does. What is kept depends on the
    versions, the settings and the machine; a program that does not fit is compiled anew. Sweeps,
    measures, simulations, equilibria and gradients are kept. Not so, since diffrax's checks call
    back to the host (they are where the environment has EQX_ON_ERROR=nan): adaptive runs with
    an implicit solver, with noise or with dense output, and gradients of adaptive runs.

    Args:
        folder: where; the user's cache folder unless given.

    Returns:
        The folder.

    Raises:
        OSError: if it can't be made or written to.
    """
    if folder is not None and not isinstance(folder, str | os.PathLike):
        raise TypeError(f"folder: expected the name of a folder, got {folder!r}")
    path = pathlib.Path(folder) if folder is not None else _user_cache() / "rnnjax"
    path.mkdir(parents=True, exist_ok=True)
    if not os.access(path, os.W_OK):
        raise PermissionError(f"cache: expected a folder that can be written to, got {path}")
    jax.config.update("jax_compilation_cache_dir", str(path))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.05)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)
    return path


def _user_cache() -> pathlib.Path:
    if sys.platform == "win32":
        return pathlib.Path(os.environ.get("LOCALAPPDATA") or pathlib.Path.home())
    if sys.platform == "darwin":
        return pathlib.Path.home() / "Library" / "Caches"
    return pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")


def tuned_devices() -> int:
    """The number of host devices that `tune_cpu` set up, 0 without it."""
    return _tuned[0] if _tuned else 0


def mention_tuning() -> None:
    """Say, once a process, that sweeps could be several times faster."""
    if _tuned or _mentioned or jax.default_backend() != "cpu":
        return
    _mentioned.append(True)
    warn_caller(
        "this sweep could run several times faster: call rnnjax.tune_cpu() right after the import"
    )


def doctor() -> dict[str, str]:
    """Versions, devices and settings that decide how rnnjax runs here, and what is slow.

    It starts JAX's backend.
    """
    report = {"rnnjax": _version("rnnjax"), "python": platform.python_version()}
    report |= {name: _version(name) for name in ("jax", "jaxlib", "diffrax", "equinox", "optax")}
    report["machine"] = f"{platform.system()} {platform.machine()}, {_cores()} cores"
    report["devices"] = ", ".join(f"{d.platform}:{d.id} ({d.device_kind})" for d in jax.devices())
    report["float64 by default"] = str(bool(jax.config.jax_enable_x64))  # pyright: ignore
    report["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") or "not set"
    report["advice"] = _advice()
    return report


def _advice() -> str:
    if jax.default_backend() != "cpu":
        return "none: an accelerator runs whole batches at once"
    if not _tuned:
        return (
            "call rnnjax.tune_cpu() right after the import: sweeps of small circuits run several "
            "times faster (the command line does it by itself)"
        )
    return "none: set up for sweeps"


def _accepted() -> bool:
    """Whether a fresh process survives the flag."""
    env = os.environ | {"XLA_FLAGS": _HOISTING, "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "-c", "import jax; jax.devices()"], env=env, capture_output=True
    )
    return done.returncode == 0


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # no affinity on macOS and Windows
        return os.cpu_count() or 1


def _version(package: str) -> str:
    try:
        return re.sub(r"\s", "", importlib.metadata.version(package))
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
