"""What `rnnjax` exports; loaded when first used."""

from rnnjax import circuits as circuits
from rnnjax import connectivity as connectivity
from rnnjax import inputs as inputs
from rnnjax import measures as measures
from rnnjax import noise as noise
from rnnjax import plot as plot
from rnnjax import solvers as solvers
from rnnjax._axes import axis as axis
from rnnjax._axes import points as points
from rnnjax._axes import random_points as random_points
from rnnjax._equilibria import Equilibria as Equilibria
from rnnjax._equilibria import Linearization as Linearization
from rnnjax._equilibria import Stability as Stability
from rnnjax._equilibria import find_equilibria as find_equilibria
from rnnjax._equilibria import linearize as linearize
from rnnjax._fit import Fit as Fit
from rnnjax._fit import fit as fit
from rnnjax._gradient import BlockedAdjoint as BlockedAdjoint
from rnnjax._gradient import Checkpoint as Checkpoint
from rnnjax._gradient import StoreAll as StoreAll
from rnnjax._measure import measure as measure
from rnnjax._parameter import parameter as parameter
from rnnjax._plan import Plan as Plan
from rnnjax._regions import VectorField as VectorField
from rnnjax._regions import vector_field as vector_field
from rnnjax._results import ConvergenceError as ConvergenceError
from rnnjax._results import FitError as FitError
from rnnjax._results import SimulationError as SimulationError
from rnnjax._results import Status as Status
from rnnjax._results import SweepInterrupted as SweepInterrupted
from rnnjax._save import load as load
from rnnjax._save import save as save
from rnnjax._setup import cache as cache
from rnnjax._setup import doctor as doctor
from rnnjax._setup import tune_cpu as tune_cpu
from rnnjax._simulate import Trajectory as Trajectory
from rnnjax._simulate import simulate as simulate
from rnnjax._sweep import sweep as sweep
from rnnjax.circuits import AbstractCircuit as AbstractCircuit
from rnnjax.circuits import Driven as Driven

__version__: str
