"""Who drives whom: `weights[post, pre]`, with the constraint in the type."""

from rnnjax.connectivity._base import AbstractConnectivity as AbstractConnectivity
from rnnjax.connectivity.cosine import Cosine as Cosine
from rnnjax.connectivity.dale import Dale as Dale
from rnnjax.connectivity.dense import Dense as Dense
from rnnjax.connectivity.low_rank import LowRank as LowRank
from rnnjax.connectivity.masked import Masked as Masked
from rnnjax.connectivity.symmetric import Symmetric as Symmetric
