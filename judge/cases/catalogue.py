"""All cases in the order in which they are played: the service is ended only after everything else."""

from judge.cases import crashes, errors, keys, misuse, network, replay, retention, twins
from judge.cases.case import Case

CASES: tuple[Case, ...] = (
    *replay.CASES,
    *twins.CASES,
    *network.CASES,
    *misuse.CASES,
    *keys.CASES,
    *twins.SLOW_CASES,
    *retention.CASES,
    *crashes.CASES,
    *errors.CASES,
)
