"""The catalogue: every scenario there is.

Guarantee: adding a scenario is adding one entry to one of the four lists.
"""

from chaos.crash_faults import CRASH_FAULTS
from chaos.late_messages import LATE_MESSAGES
from chaos.message_faults import MESSAGE_FAULTS
from chaos.table import CELLS

SCENARIOS = (*CELLS, *LATE_MESSAGES, *MESSAGE_FAULTS, *CRASH_FAULTS)
