"""Tasks: trials drawn from a key, one task each."""

from rnnjax.tasks._base import AbstractTask as AbstractTask
from rnnjax.tasks._base import Trial as Trial
from rnnjax.tasks.context_integration import ContextIntegration as ContextIntegration
from rnnjax.tasks.delayed_match_to_sample import DelayedMatchToSample as DelayedMatchToSample
from rnnjax.tasks.delayed_xor import DelayedXOR as DelayedXOR
from rnnjax.tasks.evidence_integration import EvidenceIntegration as EvidenceIntegration
from rnnjax.tasks.flip_flop import FlipFlop as FlipFlop
from rnnjax.tasks.from_trials import FromTrials as FromTrials
from rnnjax.tasks.perceptual_decision import PerceptualDecision as PerceptualDecision
from rnnjax.tasks.reaching import Reaching as Reaching
from rnnjax.tasks.ring_path_integration import RingPathIntegration as RingPathIntegration
from rnnjax.tasks.sine_generation import SineGeneration as SineGeneration
