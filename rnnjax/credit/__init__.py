"""Credit: how the gradient of a task's loss is obtained, one rule each."""

from rnnjax.credit._base import AbstractBackward as AbstractBackward
from rnnjax.credit._base import AbstractCredit as AbstractCredit
from rnnjax.credit._base import BackpropagationThroughTime as BackpropagationThroughTime
from rnnjax.credit._base import Passed as Passed
from rnnjax.credit._base import Run as Run
from rnnjax.credit._local import local as local
from rnnjax.credit._local import with_feedback as with_feedback
from rnnjax.credit.diagonal_recurrent import DiagonalRecurrent as DiagonalRecurrent
from rnnjax.credit.eligibility_propagation import EligibilityPropagation as EligibilityPropagation
from rnnjax.credit.forward_sensitivity import ForwardSensitivity as ForwardSensitivity
from rnnjax.credit.node_perturbation import NodePerturbation as NodePerturbation
from rnnjax.credit.random_feedback_local_online import (
    RandomFeedbackLocalOnline as RandomFeedbackLocalOnline,
)
from rnnjax.credit.truncated_backpropagation import (
    TruncatedBackpropagation as TruncatedBackpropagation,
)
from rnnjax.credit.weight_perturbation import WeightPerturbation as WeightPerturbation
