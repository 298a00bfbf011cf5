"""Forcing: what training does to the state, one way each."""

from rnnjax.forcing._base import AbstractForcing as AbstractForcing
from rnnjax.forcing._base import AbstractTeacher as AbstractTeacher
from rnnjax.forcing._base import Moment as Moment
from rnnjax.forcing._base import NoForcing as NoForcing
from rnnjax.forcing._feedback import AbstractFeedback as AbstractFeedback
from rnnjax.forcing._feedback import KalmanGain as KalmanGain
from rnnjax.forcing._feedback import PseudoInverse as PseudoInverse
from rnnjax.forcing._feedback import RandomFeedback as RandomFeedback
from rnnjax.forcing._feedback import Transpose as Transpose
from rnnjax.forcing.adaptive_teacher_forcing import AdaptiveTeacherForcing as AdaptiveTeacherForcing
from rnnjax.forcing.adaptive_teacher_forcing import largest_norm as largest_norm
from rnnjax.forcing.adaptive_teacher_forcing import mean_of_norms as mean_of_norms
from rnnjax.forcing.adaptive_teacher_forcing import norm_of_mean as norm_of_mean
from rnnjax.forcing.error_forcing import ErrorForcing as ErrorForcing
from rnnjax.forcing.generalized_teacher_forcing import (
    GeneralizedTeacherForcing as GeneralizedTeacherForcing,
)
from rnnjax.forcing.teacher_forcing import TeacherForcing as TeacherForcing
