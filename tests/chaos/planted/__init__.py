"""Bugs of others, planted into the services from outside, to see that the scenarios catch them.

Guarantee: a bug replaces what one function does and nothing else; it is caught only by a promise that is named here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

ORDER, BILLING, NOTIFICATION = "order_service", "billing_service", "notification_service"


@dataclass(frozen=True)
class Bug:
    """One planted bug: the wrapped factories that have it, what provokes it, and the promises of which one must catch it.

    `migration` is what a wrong migration does to the schema, beside the factories or instead of them.
    """

    name: str
    title: str
    factories: Mapping[str, str]
    scenarios: tuple[str, ...]
    promises: frozenset[str]
    migration: str = ""


def _bug(
    name: str, title: str, scenarios: tuple[str, ...], *promises: str, services: tuple[str, ...]
) -> Bug:
    module = {ORDER: "caller", BILLING: "receiver", NOTIFICATION: "notifier"}
    factories = {
        service: f"{__name__}.{'database' if len(services) > 1 else module[service]}:{name}"
        + (f"_in_{service.removesuffix('_service')}" if len(services) > 1 else "")
        for service in services
    }
    return Bug(name, title, MappingProxyType(factories), scenarios, frozenset(promises))


def _caller(name: str, title: str, scenarios: tuple[str, ...], *promises: str) -> Bug:
    return _bug(name, title, scenarios, *promises, services=(ORDER,))


def _receiver(
    name: str, title: str, scenarios: tuple[str, ...], *promises: str, sql: str = ""
) -> Bug:
    """`sql` takes away what the schema would refuse beside it: a second net must not hide the hole in the first."""
    return replace(_bug(name, title, scenarios, *promises, services=(BILLING,)), migration=sql)


def _migration(name: str, title: str, scenarios: tuple[str, ...], *promises: str, sql: str) -> Bug:
    return Bug(name, title, MappingProxyType({}), scenarios, frozenset(promises), sql)


def _with_standby(name: str, title: str, scenarios: tuple[str, ...], *promises: str) -> Bug:
    factories = {
        service: f"{__name__}.standby:{name}_in_{service.removesuffix('_service')}"
        for service in (ORDER, BILLING, NOTIFICATION)
    }
    return Bug(name, title, MappingProxyType(factories), scenarios, frozenset(promises))


LOST_RESPONSE = "disconnect/response_lost/exactly_once/warm"
LOST_REQUEST = "disconnect/request_lost/exactly_once/warm"
CRASH_AFTER = "disconnect/crash_after_execution/exactly_once/warm"

_ANSWERS_MAY_CHANGE = "DROP TRIGGER processed_keys_answer_stays ON billing.processed_keys"
_UNSEALED = "; ".join(
    f"CREATE OR REPLACE FUNCTION {schema}.sealed() RETURNS boolean LANGUAGE sql AS 'SELECT true'"
    for schema in ("billing", "orders", "notifications")
)
# What is left after each charge of a batch, as a sum that a window could give: declined amounts are in it.
_SUMMED = r"""
    DO $do$ BEGIN
      EXECUTE regexp_replace(
        replace(
          pg_get_functiondef('billing.charge_batch'::regproc),
          'billing.left_after_all(locked.balance_cents, wanted.amount_cents) OVER in_order',
          '(locked.balance_cents - sum(wanted.amount_cents) OVER in_order)::bigint'
        ),
        'after_cents < coalesce\(.*\) AS is_charged',
        'after_cents >= 0 AS is_charged'
      );
    END $do$
"""

BUGS = (
    _receiver(
        "no_unique_constraint",
        "nothing keeps a key from being claimed twice",
        (LOST_RESPONSE,),
        "X1",
        "X2",
    ),
    _receiver(
        "check_then_insert",
        "the key is looked up first and inserted later",
        ("late/concurrent_duplicates",),
        "X1",
        sql=_ANSWERS_MAY_CHANGE,
    ),
    _receiver(
        "key_before_effect",
        "the key with its answer is committed before the money moves",
        ("crash/postgres_in_the_middle",),
        "X1b",
        "X2",
    ),
    _receiver(
        "key_after_effect",
        "the money moves first, the key is committed later",
        ("commit/terminated_backend",),
        "X1",
        "X2",
    ),
    _receiver(
        "retry_flag_trusted",
        "without the retry flag a key is taken for a new one",
        ("late/duplicated_by_the_network",),
        "X1",
    ),
    _receiver(
        "retry_flag_means_seen",
        "with the retry flag a key is taken for a processed one",
        (LOST_REQUEST,),
        "X1b",
        "X2",
    ),
    _receiver(
        "ambiguous_commit_is_failure",
        "a commit without an answer is called a failure",
        ("commit/ambiguous_and_there",),
        "C2",
    ),
    _receiver(
        "ambiguous_commit_is_success",
        "a commit without an answer is called a success",
        ("commit/ambiguous_and_not_there",),
        "X1b",
    ),
    _receiver(
        "fast_path_without_keys",
        "charges in one round trip find no key that was there before",
        (LOST_RESPONSE,),
        "X1",
    ),
    _receiver(
        "fast_path_in_doubt_is_success",
        "a charge in one round trip that gets no answer is called a success",
        ("commit/lost_with_its_charge",),
        "X1b",
    ),
    _receiver(
        "only_the_last_key",
        "only a client's highest key is remembered",
        ("late/lower_key_after_a_higher_one",),
        # The caller believes no answer that names another order, so the order is never billed with it: it stays pending.
        "T",
        "L1",
    ),
    _receiver(
        "dedupe_in_memory", "processed keys live in the memory of one process", (CRASH_AFTER,), "X1"
    ),
    _receiver(
        "partial_body_fingerprinted",
        "half a request spends its key",
        ("torn/truncated_request",),
        "X1c",
    ),
    _receiver(
        "payload_not_compared",
        "a known key is replayed whatever it comes with",
        ("late/other_payload",),
        "X7",
    ),
    _receiver(
        "forgotten_by_time",
        "old keys are deleted, and nothing remembers that they were",
        ("late/forgotten_key",),
        "X10",
    ),
    _receiver(
        "first_incomplete_forgotten_too",
        "the first incomplete key is deleted with those below it",
        ("late/forgotten_up_to_the_open_order",),
        "X1",
    ),
    _receiver(
        "answered_before_the_commit",
        "the answer leaves before its transaction is committed",
        ("commit/ambiguous_and_not_there",),
        "X1b",
        "X3",
    ),
    _receiver(
        "answer_made_anew",
        "a replay is written anew instead of being repeated",
        (LOST_RESPONSE,),
        "X4",
    ),
    _caller(
        "new_key_for_each_retry", "a retry gets a key of its own", (LOST_RESPONSE,), "X0", "X1"
    ),
    _caller("unknown_is_failure", "no answer is taken for a failure", (LOST_RESPONSE,), "C2"),
    _caller("unknown_is_success", "no answer is taken for a success", (LOST_REQUEST,), "X1b"),
    _caller(
        "notification_retried",
        "a notification without an answer is sent again",
        ("notification/response_lost",),
        "M2",
    ),
    _caller(
        "key_acknowledged_too_early",
        "open keys are declared settled",
        ("late/pending_while_others_settle",),
        "X1c",
    ),
    _caller(
        "highest_open_key_declared",
        "the highest open key is declared first incomplete, not the lowest",
        ("late/the_lowest_of_two_open_orders",),
        "X1c",
    ),
    _caller("retry_changes_the_amount", "a retry asks for more", (LOST_REQUEST,), "L2", "X1"),
    _caller(
        "new_key_after_a_takeover",
        "the process that takes an order over gives it a new key",
        ("caller_killed/before_the_answer",),
        "X0",
        "X1",
    ),
    _caller(
        "at_most_once_taken_up_again",
        "the process that takes an order over sends it, under at most once too",
        ("caller_killed/at_most_once_before_the_answer",),
        "M1",
    ),
    _caller(
        "notified_before_settled",
        "the customer is told before the order is settled",
        ("caller_killed/after_notifying",),
        "M2",
    ),
    _caller(
        "no_deadline",
        "an attempt may take as long as bytes keep coming",
        ("slow/byte_by_byte",),
        "L6",
    ),
    _caller("flag_forgotten", "the retry flag is not set on retries", (LOST_RESPONSE,), "L3"),
    _caller("keys_with_gaps", "keys come from a counter that skips", (LOST_RESPONSE,), "X6"),
    _caller(
        "takeover_ends_with_its_first_trouble",
        "orders of dead processes are taken over until the database is out of reach for the first time",
        ("recording/answer_lost",),
        "L1",
    ),
    _caller("sent_after_the_answer", "one more attempt after the answer", (LOST_RESPONSE,), "L5"),
    _receiver(
        "void_leaves_no_tombstone",
        "a cancelled order's key stays usable",
        ("late/after_the_cancellation",),
        "C2",
    ),
    _receiver(
        "decline_not_remembered",
        "a decline does not spend its key",
        ("late/declined_and_then_funded",),
        "X1c",
        "X4",
    ),
    _receiver(
        "order_not_in_the_fingerprint",
        "another order of the same price is taken for the same charge",
        ("late/other_order",),
        "X7",
    ),
    _receiver(
        "account_not_in_the_fingerprint",
        "the same order for another account is taken for the same charge",
        ("late/other_account",),
        "X7",
    ),
    _receiver(
        "collector_ends_with_its_first_trouble",
        "settled keys are forgotten until the database is out of reach for the first time",
        ("commit/partition_holds_the_key", "late/forgotten_key"),
        "L8",
    ),
    _receiver(
        "keys_of_others_forgotten",
        "of all clients, keys of the same numbers are forgotten",
        ("late/same_number_of_another_client",),
        "X1",
    ),
    _migration(
        "decline_spoils_its_batch",
        "a declined charge makes the charges behind it in its batch declined as well",
        ("late/concurrent_charges_of_one_account",),
        "X1",
        sql=_SUMMED,
    ),
    _receiver(
        "balance_overwritten",
        "the balance is read without a lock, and written as what is left of it",
        ("late/concurrent_charges_of_one_account",),
        "X5",
    ),
    _caller(
        "refusal_at_face_value",
        "a refusal after a lost answer is believed",
        ("refused/with_a_wrong_token",),
        "C2",
        "X1c",
    ),
    _caller(
        "any_problem_is_billings",
        "a refusal is believed, whatever service sent it",
        ("refused/by_the_wrong_service_at_first",),
        "X1c",
    ),
    _caller(
        "cancel_takes_any_certainty",
        "a cancellation that could not be sent is taken for one that found nothing",
        ("late/cancelled_while_billing_is_down",),
        "C2",
        "X1c",
    ),
    _caller(
        "executed_means_charged",
        "whatever was executed is taken for a charge, a decline too",
        ("late/declined_and_cancelled",),
        "X1b",
    ),
    _caller(
        "customer_brings_it_back",
        "an order that is placed again is delivered at once, even while another process leases it",
        ("caller_killed/at_most_once_and_the_customer_retries",),
        "M1",
    ),
    _caller(
        "silence_is_no_trouble",
        "a database that is silent is not taken for one that is away",
        ("recording/silence",),
        "L7",
    ),
    _caller(
        "late_writes_wake_no_waiter",
        "what was queued behind a slow write waits until the next one comes",
        ("recording/slow_and_many",),
        "L1",
    ),
    _caller(
        "gives_up_after_ten_attempts",
        "an order fails when billing is away for long",
        ("refused/for_many_attempts",),
        "X1c",
    ),
    _caller(
        "order_waits_for_its_notification",
        "the customer is answered when the notification has its fate",
        ("notification/silence",),
        "M4",
    ),
    _caller(
        "deadline_of_the_head",
        "the deadline ends where the body of the answer begins",
        ("slow/body",),
        "L6",
    ),
    _bug(
        "shown_before_it_is_stored",
        "the notification is acknowledged, and stored later",
        ("notification/not_stored",),
        "M3",
        services=(NOTIFICATION,),
    ),
    _bug(
        "ambiguity_is_a_refusal",
        "a notification that may be stored is refused",
        ("notification/stored_without_an_answer",),
        "M3",
        services=(NOTIFICATION,),
    ),
    _bug(
        "stored_again_in_doubt",
        "a notification whose commit has no answer is stored once more",
        ("notification/stored_without_an_answer",),
        "M2",
        services=(NOTIFICATION,),
    ),
    _migration(
        "keys_not_logged",
        "the table of processed keys is unlogged: faster, and empty after a crash",
        ("crash/postgres_before_the_retry",),
        "X1",
        sql="ALTER TABLE billing.processed_keys SET UNLOGGED",
    ),
    _bug(
        "commit_not_awaited",
        "synchronous_commit=off: committed before it is on disk",
        ("crash/postgres_after_the_answer",),
        "C1",
        "X1b",
        "X3",
        "L1",
        services=(ORDER, BILLING, NOTIFICATION),
    ),
    _migration(
        "no_seal",
        "what another transaction committed is told, whether the standby has it or not",
        ("failover/sessions_terminated",),
        "F1",
        sql=_UNSEALED,
    ),
    _with_standby(
        "deadline_sends_a_cancel",
        "a deadline leaves its statement to asyncpg, which cancels it: a commit then waits no more",
        ("failover/only_deadlines",),
        "F2",
    ),
    _with_standby(
        "warning_ignored",
        "a commit that ends with a warning is taken for one that the standby has",
        ("failover/wait_cancelled",),
        "F1",
    ),
    _with_standby(
        "commit_without_the_standby",
        "synchronous_commit=local: committed before the standby has it",
        ("failover/only_deadlines",),
        "F1",
        "F2",
    ),
    _with_standby(
        "sessions_that_only_read_are_kept",
        "a session that met a server which only reads goes back into the pool",
        ("failover/turned_read_only",),
        "F3",
    ),
)
