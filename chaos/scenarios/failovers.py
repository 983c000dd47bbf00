"""Scenarios of a failover: a primary of Postgres dies, and its synchronous standby takes its place.

Guarantee: in each, the primary's log lies beyond what the standby has received, and the rows are seen on the old primary and
found absent on the new one; the controls do the same without a cut.
"""

from chaos.scenarios.scenario import Scenario
from chaos.steps.failover_judgement import JudgeFailover
from chaos.steps.failover_questions import AskForFinals, AskForForgotten
from chaos.steps.failovers import (
    ChargeAlone,
    ChargeInTheCut,
    CutOffStandby,
    EndTheWait,
    ForgetInTheCut,
    LosePrimary,
    Prepare,
    TurnReadOnly,
    WaitEnd,
)
from chaos.steps.failovers_under_load import (
    AwaitBilled,
    FailOverUnderLoad,
    JoinAgain,
    StartCustomers,
    StopCustomers,
)


def _lost(name: str, title: str, how: WaitEnd, *, silently: bool = True) -> Scenario:
    return Scenario(
        f"failover/{name}",
        title,
        (
            Prepare(),
            CutOffStandby(silently),
            ChargeAlone(),
            ChargeInTheCut(),
            EndTheWait(how),
            AskForFinals(charges_max=3 if how == "only the deadline" else None),
            LosePrimary(only_reads=how == "restarted read-only"),
            JudgeFailover(),
        ),
        effects=None,
    )


_FORGOTTEN = Scenario(
    "failover/forgotten_before_a_crash",
    "a key is declared settled without the standby, and the primary crashes, recovers and dies",
    (
        Prepare(),
        CutOffStandby(),
        ForgetInTheCut(),
        EndTheWait("crashed", rows=("forgotten",)),
        AskForForgotten(),
        LosePrimary(),
        JudgeFailover(),
    ),
    effects=None,
)

FAILOVERS = (
    _FORGOTTEN,
    _lost(
        "wait_cancelled",
        "commits that wait for the standby are cancelled, then the primary dies",
        "cancelled",
    ),
    _lost(
        "sessions_terminated",
        "sessions that wait for the standby are terminated, then the primary dies",
        "terminated",
    ),
    _lost(
        "crash_restart",
        "the primary crashes and recovers without its standby, then it dies",
        "crashed",
    ),
    _lost(
        "restart",
        "the primary is shut down and started without its standby, then it dies",
        "restarted",
        silently=False,
    ),
    _lost(
        "restart_read_only",
        "the primary is started again and only reads, and the standby is promoted beside it",
        "restarted read-only",
        silently=False,
    ),
    _lost(
        "only_deadlines",
        "nothing but the services' deadlines ends their waits, then the primary dies",
        "only the deadline",
    ),
    Scenario(
        "failover/turned_read_only",
        "the primary turns read-only under open sessions, and the standby is promoted beside it",
        (
            Prepare(),
            ChargeInTheCut(waits=False),
            TurnReadOnly(),
            AskForFinals(),
            LosePrimary(behind=False, only_reads=True),
            JudgeFailover(),
        ),
        effects=None,
    ),
    Scenario(
        "failover/there_and_back_under_load",
        "the primary is killed under load, twice: the second failover leads back",
        (
            Prepare(),
            StartCustomers(),
            AwaitBilled(20),
            FailOverUnderLoad(),
            AwaitBilled(20),
            JoinAgain(),
            AwaitBilled(20),
            FailOverUnderLoad(),
            AwaitBilled(20),
            StopCustomers(),
            JudgeFailover(),
        ),
        effects=None,
    ),
    Scenario(
        "failover/without_a_cut",
        "control: the primary dies while its standby follows",
        (
            Prepare(),
            ChargeInTheCut(waits=False),
            AskForFinals(told_min=40),
            LosePrimary(behind=False),
            JudgeFailover(),
        ),
        effects=None,
    ),
)
