"""Which test belongs to which lane of the Makefile.

Guarantee: `make quick` leaves out what is `chaos` or `slow`, `make test` only what is `mutants`, and `make test-all` nothing. The
tests that share an expensive fixture run in one process.
"""

from collections.abc import Sequence
from pathlib import Path

import pytest
from xdist.scheduler import LoadScopeScheduling

from stack.schema import PROJECT
from tests.chaos.parts import part_of
from tests.chaos.planted import BUGS, Bug

# Five times what the longest one takes beside other work on 2 cores: a stack starts, and a planted bug is waited for.
CHAOS_TIMEOUT_S = 900
# Only tests of these start a program of their own for each test (a service, a migration, an interpreter), crash a server, play
# hundreds of steps, or read the whole project (the rules, the tool that plants bugs): together more than half of the time of all
# that are not `chaos`.
SLOW = (
    "tests/architecture/",
    "tests/bench/test_baselines.py",
    "tests/billing_service/test_database_trouble.py",
    "tests/billing_service/test_model.py::test_the_receiver_is_its_model",
    "tests/billing_service/test_opening.py::test_a_malformed_argument_is_refused",
    "tests/chaos/test_database.py",
    "tests/chaos/test_soak.py::test_a_strike_that_cannot_begin",
    "tests/chaos/test_soak.py::test_what_has_not_ended_is_armed_again",
    "tests/compose/test_command_line.py",
    "tests/compose/test_gateway.py",
    "tests/deploy/",
    "tests/examples/test_receiver.py::test_the_receiver_is_the_model_of_the_service",
    "tests/judge/test_action.py",
    "tests/judge/test_bad_input.py",
    "tests/judge/test_cases.py",
    "tests/judge/test_network.py",
    "tests/judge/test_outputs.py",
    "tests/judge/test_planted.py",
    "tests/judge/test_processes.py",
    "tests/judge/test_pytest_plugin.py",
    "tests/judge/test_service.py",
    "tests/judge/test_services.py",
    "tests/lab/test_network.py",
    "tests/migrations/",
    "tests/mutation/",
    "tests/service_kit/environment/test_secrecy.py",
    "tests/service_kit/environment/test_services_settings.py",
    "tests/service_kit/http_guard/",
    "tests/service_kit/telemetry/test_logs.py",
    "tests/stack/test_bootstrap.py",
    "tests/stack/test_interruption.py",
    "tests/stack/test_lent_servers.py",
    "tests/stack/test_nursery.py",
    "tests/stack/test_order_of_the_end.py",
    "tests/stack/test_serve.py",
    "tests/stack/test_servers.py",
    "tests/stack/test_standby.py",
    "tests/stack/test_toxics.py",
    "tests/test_ci_page.py",
    "tests/test_databases.py",
    "tests/test_lanes.py::test_one_worker_plays_a_module",
    "tests/test_making.py",
    "tests/test_outages.py",
    "tests/test_progress.py",
)


# It is played in parts, each by one worker on one wrapped stack. The other modules that need that stack are played there as well,
# so that no further worker starts one.
CATALOGUE = "tests/chaos/test_scenarios.py"
WITH_PART = {
    "tests/billing_service/test_mistakes_of_others.py": 1,
    "tests/chaos/test_interference.py": 1,
    "tests/chaos/test_interrupted_scenario.py": 1,
    "tests/chaos/test_kill.py": 1,
    "tests/chaos/test_reads.py": 2,
    "tests/chaos/test_steps_of_scenarios.py": 2,
    "tests/chaos/test_target.py": 2,
    "tests/chaos/test_whole.py": 2,
    "tests/stack/test_curl.py": 2,
    "tests/stack/test_service_environ.py": 2,
}
# Modules that share one running lab.
WITH_LAB = ("tests/lab/test_access.py", "tests/lab/test_life.py", "tests/lab/test_play.py")
# Fixtures of a session whose processes also compute between the tests.
DEAR = frozenset({"harness", "one_lab"})
# Each of their tests needs much time and nothing of the others, so workers share them out.
ALONE = (
    "tests/billing_service/test_model.py",
    "tests/chaos/test_command_line.py",
    "tests/chaos/test_planted.py",
    "tests/examples/test_receiver.py::test_the_receiver_is_the_model_of_the_service",
    "tests/judge/test_bad_input.py",
    "tests/judge/test_planted.py",
    "tests/judge/test_services.py",
)
# What one worker needs most time for, in this order. Those that compute begin while the parts of the catalogue mostly wait.
LONG = (
    "tests/billing_service/test_model.py",
    "tests/examples/test_receiver.py::test_the_receiver_is_the_model_of_the_service",
    "tests/judge/test_services.py",
    "tests/test_openapi.py",
    "tests/service_kit/http_guard/test_head.py",
    "tests/judge/test_planted.py",
    "tests/judge/test_cases.py",
    "tests/judge/test_bad_input.py",
    *WITH_LAB,
    "tests/migrations/test_downgrades.py",
    "tests/test_progress.py",
    "tests/billing_service/test_seal.py",
    "tests/service_kit/bounded_pool/test_standby.py",
    "tests/order_service/test_orders.py",
    "tests/billing_service/test_group_commit.py",
    "tests/order_service/test_restored.py",
    "tests/notification_service/test_notifications.py",
)


def leaves_out(markers: str, path: Path) -> bool:
    """Whether a lane, by its expression of markers, plays nothing of a file or folder: then it need not be read either."""
    name = path.relative_to(PROJECT) if path.is_relative_to(PROJECT) else path
    return "not slow" in markers and f"{name}/".startswith(
        tuple(f"{each.rstrip('/')}/" for each in SLOW)
    )


def arrange(items: list[pytest.Item]) -> None:
    """Adds the markers that the lanes are made of, and puts first what takes longest, so that no worker is left with it."""
    _mark(items)
    items.sort(key=_turn)


class ByModule(LoadScopeScheduling):  # type: ignore[misc]
    """One worker plays the tests of a module, or of a part of the catalogue, because they share what its fixtures have started.

    The groups of pytest-xdist 3.8 cannot be used: it writes them to an attribute that pytest 9.2 does not read, and so
    every test is a group of its own.
    """

    def _split_scope(self, nodeid: str) -> str:
        return scope_of(nodeid)


def scope_of(nodeid: str) -> str:
    """What stays together with this test: the parameters of a test may hold `::` as well."""
    if nodeid.startswith(ALONE):
        return nodeid
    module, _, test = nodeid.partition("::")
    if module == CATALOGUE:
        return f"part {part_of(test.partition('[')[2].removesuffix(']'))}"
    if module in WITH_PART:
        return f"part {WITH_PART[module]}"
    return "lab" if module in WITH_LAB else module


def is_over(fixture: str, item: pytest.Item, following: pytest.Item | None) -> bool:
    """Whether a dear fixture ends with this test: the next one neither uses it nor stays together with this one."""
    return (
        following is not None
        and scope_of(following.nodeid) != scope_of(item.nodeid)
        and fixture not in getattr(following, "fixturenames", ())
    )


def _turn(item: pytest.Item) -> tuple[int, int]:
    if item.nodeid.startswith((CATALOGUE, *WITH_PART)):
        return 0, 0
    for place, prefix in enumerate(LONG):
        if item.nodeid.startswith(prefix):
            return 1, place
    if item.get_closest_marker("chaos"):
        return 2, 0
    # Short modules come last, so that the workers end at about the same time.
    return (3 if item.get_closest_marker("slow") else 4), 0


def _mark(items: Sequence[pytest.Item]) -> None:
    for item in items:
        if item.nodeid.startswith(SLOW):
            item.add_marker(pytest.mark.slow)
        if item.get_closest_marker("chaos") and not item.get_closest_marker("timeout"):
            # Scenarios wait for evidence, with bounds of their own; the timeout of pytest only ends what hangs.
            item.add_marker(pytest.mark.timeout(CHAOS_TIMEOUT_S))


# A bug of the sample that another test plants in the same scenarios, and asks for more.
ELSEWHERE = {
    "collector_ends_with_its_first_trouble": "tests/chaos/test_background.py::test_a_collector_that_ends_with_its_first_trouble"
}


def sample(bugs: Sequence[Bug] = BUGS) -> list[Bug]:
    """One bug for each promise: of those that it catches, the one that the fewest others catch, and of equals the first.

    Without those that are planted elsewhere.
    """
    promises = sorted({promise for bug in bugs for promise in bug.promises})
    chosen = {
        min(
            (bug for bug in bugs if promise in bug.promises), key=lambda bug: len(bug.promises)
        ).name
        for promise in promises
    }
    return [bug for bug in bugs if bug.name in chosen - ELSEWHERE.keys()]
