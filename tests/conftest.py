"""Every test runs on the CPU, split into four devices, with checked shapes and strict dtypes."""

import importlib.metadata
import os
import signal
from pathlib import Path

# These must be set before JAX is imported.
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["MPLBACKEND"] = "Agg"
# As many programs are compiled at once as there are workers: pieces of one in threads cost more than they save.
_FLAGS = [
    "--xla_force_host_platform_device_count=4",
    "--xla_cpu_parallel_codegen_split_count=1",
]
if importlib.metadata.version("jaxlib").startswith("0.10."):
    # Most of the suite is compilation. The older of two emitters of loops compiles in a third less
    # time; newer jaxlibs, with which the suite runs as well, have the newer one only.
    _FLAGS.append("--xla_cpu_use_fusion_emitters=false")
_GIVEN = os.environ.get("XLA_FLAGS", "")
_FLAGS = [flag for flag in _FLAGS if flag.split("=")[0] not in _GIVEN]
os.environ["XLA_FLAGS"] = " ".join([_GIVEN, *_FLAGS]).strip()

import beartype
import jax
import jaxtyping
import matplotlib.pyplot as plt
import pytest
from compiles import Ledger

jax.config.update("jax_numpy_dtype_promotion", "strict")

# Annotations of the package are checked at run time; an int passes for a float, as in PEP 484.
_CHECK = beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))
_CHECKS = {}


def checked(function):
    """A stand-in for a function, without a body, that checks what it is given.

    Functions that are defined inside of others, again in each call, share theirs.
    """
    own = function.__module__, function.__qualname__, function.__defaults__
    key = own, *function.__annotations__.items()
    try:
        if key not in _CHECKS:
            _CHECKS[key] = _CHECK(function)
        return _CHECKS[key]
    except TypeError:  # something in it can't be looked up
        return _CHECK(function)


_PACKAGE = Path(__file__).parents[1] / "rnnjax"
_MODULES = [
    ".".join(path.relative_to(_PACKAGE.parent).with_suffix("").parts)
    for path in _PACKAGE.rglob("*.py")
    if path.stem != "__init__"
]
# hundreds of thousands of calls on the host, of which the checks would take nine tenths
_MODULES.remove("rnnjax._proof.intervals")
_HOOK = jaxtyping.install_import_hook(_MODULES, "conftest.checked")


def pytest_configure(config):
    """Compilation is most of the suite: its seconds are listed at the end."""
    config.pluginmanager.register(Ledger())


@pytest.fixture(autouse=True, scope="module")
def _fresh_module():
    """Compiled programs and drawings of one module don't pile up behind the next."""
    yield
    jax.clear_caches()
    plt.close("all")


@pytest.fixture
def listening():
    """Ctrl-C interrupts the test, also where the process was told to ignore it, as in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(params=[False, True], ids=["x32", "x64"])
def both_modes(request):
    """The test runs with JAX's x64 mode off and on; gives whether it is on."""
    with jax.enable_x64(request.param):
        yield request.param
