"""The catalogue: every scenario there is.

Guarantee: adding a scenario is adding one entry to one of the six lists.
"""

from chaos.scenarios.clones import CLONES
from chaos.scenarios.crash_faults import CRASH_FAULTS
from chaos.scenarios.failovers import FAILOVERS
from chaos.scenarios.late_messages import LATE_MESSAGES
from chaos.scenarios.message_faults import MESSAGE_FAULTS
from chaos.scenarios.table import CELLS

SCENARIOS = (*CELLS, *LATE_MESSAGES, *MESSAGE_FAULTS, *CRASH_FAULTS, *FAILOVERS, *CLONES)
