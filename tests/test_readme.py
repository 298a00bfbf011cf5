"""What the README shows runs as it stands, and says what it does."""

import re
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

pytestmark = pytest.mark.timeout(900)  # the first test waits for all blocks, which compile a lot
README = Path(__file__).parent.parent / "README.md"


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """The namespace after all Python blocks of the README, run in order in an empty folder."""
    import contextlib
    import io
    import os

    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.S)
    assert len(blocks) >= 5
    folder, space, printed = tmp_path_factory.mktemp("readme"), {}, io.StringIO()
    before = Path.cwd()
    os.chdir(folder)
    try:
        with contextlib.redirect_stdout(printed):
            for block in blocks:
                # the suite has started JAX already, where tuning comes too late
                exec(block.replace("rnnjax.tune_cpu()", ""), space)
                plt.close("all")
    finally:
        os.chdir(before)
    return space, printed.getvalue(), folder


def test_values_in_the_comments(ran):
    space, printed, _ = ran
    assert "stable focus 7.93" in printed
    assert abs(float(space["fitted"].circuit.m_ee) - 4 / 3) < 2e-3
    assert space["batch"].states.shape == (3, 500, 100)
    assert float(space["learned"].validation) < 0.02


def test_own_circuit_is_short_and_fires_between_its_hopf_points(ran):
    text = README.read_text(encoding="utf-8")
    block = re.search(r"A circuit of your own\n\n```python\n(.*?)```", text, re.S).group(1)
    assert len([line for line in block.splitlines() if line.strip()]) <= 15
    # FitzHugh-Nagumo: Hopf at v^2 = 1 - 0.8 / 12.5, drive = w - v + v^3 / 3 on w = (v + .7) / .8
    v = (1 - 0.8 / 12.5) ** 0.5
    hopf = [(s * v + 0.7) / 0.8 - s * v + (s * v) ** 3 / 3 for s in (-1, 1)]
    firing = ran[0]["firing"]
    assert abs(float(firing.min()) - hopf[0]) < 0.03
    assert abs(float(firing.max()) - hopf[1]) < 0.03


def test_saved_files_are_there_and_equal(ran):
    space, _, folder = ran
    assert (folder / "out" / "circuit.rnnjax").exists()
    assert (folder / "out" / "run.nc").exists()
    assert repr(space["same"]) == repr(space["circuit"])
