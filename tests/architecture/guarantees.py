"""Which tests fail when a guarantee is broken: of each module by its path, of each row of docs/protocol.md by a part of it.

Guarantee: a test stands here only because it fails when the guarantee, or a part of it, is broken.

`tests/architecture/guarantees_page.py` makes docs/guarantees.md of it, and takes the guarantees from where they stand.
"""

from collections.abc import Mapping

Tests = tuple[str, ...]

MODULES: Mapping[str, Tests] = {
    "order_service/attempts.py": (
        "tests/order_service/test_attempts.py::test_an_outcome_is_recorded_before_the_next_attempt_begins",
        "tests/order_service/test_attempts.py::test_an_executed_key_that_billing_calls_reused",
        "tests/order_service/test_attempts.py::test_a_refusal_that_was_made_sure_of_keeps_its_reason",
        "tests/order_service/test_attempts.py::test_a_voiding_without_an_answer",
        "tests/order_service/test_orders.py::test_an_attempt_is_committed_before_it_is_sent",
    ),
    "order_service/context.py": (
        "tests/order_service/test_orders.py::test_pauses_are_drawn_by_chance",
        "tests/order_service/test_attempts.py::test_the_peers_wish_is_honoured",
    ),
    "order_service/settings.py": (
        "tests/service_kit/environment/test_services_settings.py::test_a_wrong_setting",
        "tests/service_kit/environment/test_services_settings.py::test_no_value_is_repeated",
    ),
    "order_service/statements/attempts.py": (
        "tests/order_service/test_statements.py::test_no_attempt_begins_without_the_lease",
        "tests/order_service/test_statements.py::test_attempts_begin_in_turn",
        "tests/order_service/test_statements.py::test_the_first_record_of_an_attempt_stays",
        "tests/order_service/test_writing.py::test_attempts_begin_together",
        "tests/order_service/test_orders.py::test_an_attempt_is_committed_before_it_is_sent",
    ),
    "order_service/statements/leases.py": (
        "tests/order_service/test_statements.py::test_a_lease_is_respected_to_its_end",
        "tests/order_service/test_statements.py::test_a_lease_is_renewed_early_enough",
        "tests/order_service/test_dispatcher.py::test_an_open_order_keeps_the_mark",
        "tests/order_service/test_dispatcher.py::test_only_its_own_orders_are_left",
        "tests/order_service/test_seal.py::test_no_key_is_declared_settled_without_the_standby",
    ),
    "order_service/statements/recording.py": (
        "tests/order_service/test_orders.py::test_keys_are_gap_free",
        "tests/order_service/test_writing.py::test_orders_are_recorded_together",
        "tests/order_service/test_writing.py::test_customers_keys_within_a_group",
    ),
    "order_service/wire.py": (
        "tests/order_service/test_balances.py::test_a_billed_order",
        "tests/order_service/test_balances.py::test_a_declined_order",
        "tests/order_service/test_orders.py::test_bad_input",
    ),
    "billing_service/accounts.py": (
        "tests/billing_service/test_charges.py::test_opening_an_account_again",
        "tests/migrations/test_roles.py::test_billing_cannot_rewrite_what_it_has_done",
        "tests/billing_service/test_seal.py::test_what_another_transaction_committed",
    ),
    "billing_service/answers.py": (
        "tests/billing_service/test_database_trouble.py::test_no_database_at_all",
        "tests/order_service/test_answers.py::test_the_wire_lists_what_billing_publishes",
    ),
    "billing_service/outcomes.py": (
        "tests/billing_service/test_database_trouble.py::test_no_database_at_all",
        "tests/billing_service/test_model.py::test_the_receiver_is_its_model",
    ),
    "billing_service/readiness.py": (
        "tests/test_outages.py::test_readiness_names_each_column_that_is_written",
        "tests/test_outages.py::test_a_role_that_may_not_write_any_more",
        "tests/test_outages.py::test_readiness_leaves_nothing_behind",
    ),
    "billing_service/settings.py": (
        "tests/service_kit/environment/test_services_settings.py::test_a_wrong_setting",
        "tests/service_kit/environment/test_services_settings.py::test_no_value_is_repeated",
    ),
    "notification_service/metrics.py": (
        "tests/notification_service/test_notifications.py::test_what_is_counted",
    ),
    "notification_service/problems.py": (
        "tests/order_service/test_answers.py::test_the_wire_lists_what_notification_publishes",
    ),
    "notification_service/process.py": (
        "tests/test_making.py::test_nothing_outside_is_touched",
        "tests/notification_service/test_notifications.py::test_its_database_is_away",
    ),
    "notification_service/settings.py": (
        "tests/service_kit/environment/test_services_settings.py::test_a_wrong_setting",
        "tests/service_kit/environment/test_services_settings.py::test_no_value_is_repeated",
    ),
    "notification_service/wire.py": (
        "tests/order_service/test_answers.py::test_the_wire_lists_what_notification_publishes",
        "tests/notification_service/test_notifications.py::test_bad_input",
    ),
    "service_kit/http_guard/settings.py": (
        "tests/service_kit/http_guard/test_settings.py::test_every_bound_has_a_range",
        "tests/service_kit/http_guard/test_settings.py::test_a_value_outside_of_its_range",
    ),
    "chaos/harness/database.py": (
        "tests/chaos/test_database.py::test_a_connection_waits_while_postgres_restarts",
    ),
    "chaos/scenarios/crash_faults.py": ("tests/chaos/test_scenarios.py::test_a_scenario",),
    "chaos/scenarios/late_messages.py": ("tests/chaos/test_scenarios.py::test_a_scenario",),
    "chaos/scenarios/message_faults.py": (
        "tests/chaos/test_scenarios.py::test_a_scenario",
        "tests/chaos/test_interference.py::test_a_fault_that_is_there_only_when_it_is_looked_at",
    ),
    "stack/readiness.py": (
        "tests/stack/test_stack.py::test_an_interruption_ends_the_request_for_readiness",
        "tests/stack/test_stack.py::test_a_request_that_fails_with_its_service_is_not_reported",
    ),
    "stack/__main__.py": ("tests/chaos/test_up.py::test_a_command_that_is_killed",),
    "stack/up.py": (
        "tests/stack/test_up.py::test_the_lines_to_paste_come_when_the_stack_is_ready",
        "tests/stack/test_up.py::test_a_stack_that_does_not_start",
    ),
    "order_service/answers.py": (
        "tests/order_service/test_answers.py::test_an_answer_to_another_charge",
        "tests/order_service/test_answers.py::test_an_undocumented_success",
        "tests/order_service/test_answers.py::test_an_undocumented_refusal",
        "tests/order_service/test_answers.py::test_a_201_that_is_not_whole",
    ),
    "order_service/app.py": (
        "tests/order_service/test_orders.py::test_the_database_of_orders_is_away",
        "tests/order_service/test_orders.py::test_billing_is_away_for_longer_than_the_customer_waits",
        "tests/order_service/test_orders.py::test_a_customer_retries",
        "tests/order_service/test_orders.py::test_a_customer_retries_at_once",
    ),
    "order_service/backoff.py": (
        "tests/order_service/test_backoff.py::test_no_pause_is_longer_than_its_cap",
        "tests/order_service/test_backoff.py::test_the_bound_doubles_up_to_the_cap",
        "tests/order_service/test_orders.py::test_pauses_are_drawn_by_chance",
    ),
    "order_service/writing.py": (
        "tests/order_service/test_writing.py::test_orders_are_recorded_together",
        "tests/order_service/test_writing.py::test_orders_are_settled_together",
        "tests/order_service/test_writing.py::test_attempts_begin_together",
        "tests/order_service/test_writing.py::test_fates_are_recorded_together",
        "tests/order_service/test_orders.py::test_an_attempt_is_committed_before_it_is_sent",
    ),
    "order_service/clients.py": (
        "tests/order_service/test_clients.py::test_without_a_token",
        "tests/order_service/test_clients.py::test_the_order_of_another_client",
        "tests/order_service/test_clients.py::test_a_list_holds_the_clients_own_orders",
        "tests/order_service/test_clients.py::test_a_pending_order_of_another_client_is_not_cancelled",
    ),
    "order_service/settlement.py": (
        "tests/order_service/test_settlement.py::test_an_answer_is_kept_until_it_is_written_down",
        "tests/order_service/test_settlement.py::test_a_second_settlement_sends_no_notification",
        "tests/order_service/test_settlement.py::test_what_an_outcome_makes_of_an_order",
        "tests/order_service/test_settlement.py::test_at_least_once_is_not_certain_of_the_keys_before",
        "tests/order_service/test_cancel.py::test_a_delayed_original_after_a_refusal",
        "tests/order_service/test_orders.py::test_a_notification_is_never_sent_twice",
    ),
    "order_service/delivery.py": (
        "tests/order_service/test_delivery.py::test_exactly_once_keeps_its_key_and_raises_the_flag",
        "tests/order_service/test_delivery.py::test_nothing_is_sent_after_an_answer",
        "tests/order_service/test_delivery.py::test_at_most_once_sends_once_whatever_comes_back",
        "tests/order_service/test_delivery.py::test_at_least_once_mints_inside_the_loop",
    ),
    "order_service/dispatcher.py": (
        "tests/order_service/test_orders.py::test_an_order_of_a_dead_process_is_taken_over",
        "tests/order_service/test_orders.py::test_orders_are_taken_over_after_the_database_was_away",
        "tests/order_service/test_dispatcher.py::test_a_look_that_fails_is_not_the_last_one",
        "tests/chaos/test_replicas.py::test_kill_9_again_and_again",
    ),
    "order_service/headers.py": (
        "tests/order_service/test_headers.py::test_any_other_key_is_malformed",
    ),
    "order_service/listing.py": (
        "tests/order_service/test_clients.py::test_a_list_holds_the_clients_own_orders",
        "tests/order_service/test_clients.py::test_the_order_of_another_client",
        "tests/order_service/test_listing.py::test_an_order_that_is_settled_while_it_is_read",
        "tests/order_service/test_listing.py::test_attempts_are_shown_as_they_were_recorded",
        "tests/order_service/test_seal.py::test_a_settled_order",
    ),
    "order_service/metrics.py": (
        "tests/order_service/test_metrics.py::test_each_attempt_and_its_end_are_counted_once",
    ),
    "order_service/orders.py": (
        "tests/order_service/test_orders.py::test_every_field_of_an_order_is_told_apart",
        "tests/order_service/test_orders.py::test_the_customers_key_with_another_order",
        "tests/migrations/test_roles.py::test_order_service_cannot_rewrite_what_was_settled",
    ),
    "order_service/outcomes.py": (
        "tests/order_service/test_delivery.py::test_only_an_answer_is_final",
        "tests/order_service/test_peers.py::test_an_answer_becomes_an_outcome",
        "tests/order_service/test_settlement.py::test_what_an_outcome_makes_of_an_order",
    ),
    "order_service/peers.py": (
        "tests/order_service/test_peers.py::test_a_silent_peer_ends_at_the_deadline",
        "tests/order_service/test_peers.py::test_a_slow_drip_ends_at_the_deadline",
        "tests/order_service/test_peers.py::test_a_closed_connection_is_unknown",
        "tests/order_service/test_peers.py::test_a_reset_connection_is_unknown",
        "tests/order_service/test_peers.py::test_a_closed_port_is_refused",
    ),
    "order_service/problems.py": (
        "tests/order_service/test_problems.py::test_each_says_what_became_of_the_order",
        "tests/order_service/test_problems.py::test_no_order_was_recorded",
        "tests/order_service/test_problems.py::test_a_request_without_a_token",
    ),
    "order_service/process.py": (
        "tests/test_making.py::test_nothing_outside_is_touched",
        "tests/order_service/test_orders.py::test_orders_are_taken_over_after_the_database_was_away",
        "tests/order_service/test_orders.py::test_a_process_that_stops_keeps_what_is_in_flight",
    ),
    "order_service/retry_budget.py": (
        "tests/order_service/test_retry_budget.py::test_the_burst_is_free_and_then_it_trickles",
        "tests/order_service/test_retry_budget.py::test_time_refills_it_up_to_its_capacity",
        "tests/order_service/test_retry_budget.py::test_a_long_queue_is_drained_at_the_speed_of_answers",
        "tests/order_service/test_retry_budget.py::test_a_second_outage_trickles_as_the_first_one",
        "tests/order_service/test_orders.py::test_a_refused_connection_is_retried_within_the_budget",
    ),
    "order_service/statements/settling.py": (
        "tests/order_service/test_statements.py::test_the_first_settlement_stays",
        "tests/order_service/test_statements.py::test_the_first_fate_stays",
        "tests/order_service/test_writing.py::test_orders_are_settled_together",
        "tests/order_service/test_writing.py::test_one_order_is_settled_twice_in_a_group",
        "tests/order_service/test_writing.py::test_an_order_that_was_settled_before",
        "tests/order_service/test_writing.py::test_every_write_of_a_held_order_waits_for_it",
        "tests/order_service/test_orders.py::test_settling_happens_once",
    ),
    "billing_service/admission.py": (
        "tests/billing_service/test_admission.py::test_shares",
        "tests/billing_service/test_group_commit.py::test_held_accounts_fill_their_shares_of_the_queue",
    ),
    "billing_service/app.py": (
        "tests/billing_service/test_mistakes_of_others.py::test_4_there_is_no_ghost_success",
        "tests/billing_service/test_database_trouble.py::test_a_crash_of_postgres",
        "tests/billing_service/test_bad_input.py::test_a_bad_body",
        "tests/billing_service/test_charges.py::test_an_unknown_account_spends_no_key",
    ),
    "billing_service/forgetting.py": (
        "tests/billing_service/test_collector.py::test_time_forgets_nothing",
        "tests/billing_service/test_collector.py::test_the_mark_is_moved_before_a_key_is_deleted",
        "tests/billing_service/test_collector.py::test_a_stuck_client_keeps_no_other_one",
        "tests/billing_service/test_collector.py::test_a_client_that_cannot_be_served",
        "tests/billing_service/test_collector.py::test_a_round_that_cannot_begin",
        "tests/billing_service/test_forgetting.py::test_a_mark_never_goes_back",
        "tests/billing_service/test_forgetting.py::test_purging_everything_and_replaying_everything",
    ),
    "billing_service/batching/group_commit.py": (
        "tests/billing_service/test_group_commit.py::test_nothing_is_under_way",
        "tests/billing_service/test_group_commit.py::test_bad_account_locks",
        "tests/billing_service/test_group_commit.py::test_a_key_that_is_held_elsewhere",
        "tests/billing_service/test_group_commit.py::test_an_account_that_is_held_elsewhere",
        "tests/billing_service/test_group_commit.py::test_a_client_whose_mark_is_being_moved",
        "tests/billing_service/test_group_commit.py::test_an_account_that_stays_held",
        "tests/billing_service/test_group_commit.py::test_a_charge_that_is_not_begun_in_time",
    ),
    "billing_service/headers.py": (
        "tests/billing_service/test_headers.py::test_any_other_key_is_malformed",
        "tests/billing_service/test_headers.py::test_any_other_flag_is_malformed",
        "tests/billing_service/test_headers.py::test_any_other_mark_is_malformed",
        "tests/billing_service/test_headers.py::test_any_other_timeout_is_malformed",
    ),
    "billing_service/keys.py": (
        "tests/billing_service/test_voiding.py::test_a_voided_key_is_never_executed",
        "tests/billing_service/test_voiding.py::test_an_executed_key_cannot_be_voided",
        "tests/billing_service/test_voiding.py::test_a_forgotten_key_cannot_be_voided",
        "tests/billing_service/test_charges.py::test_a_key_below_the_mark_is_forgotten",
        "tests/billing_service/test_model.py::test_the_receiver_is_its_model",
        "tests/billing_service/test_seal.py::test_what_another_transaction_committed",
    ),
    "billing_service/charge.py": (
        "tests/billing_service/test_charges.py::test_the_same_key_again",
        "tests/billing_service/test_charges.py::test_fifty_at_once_with_the_first_one_slow",
        "tests/billing_service/test_charges.py::test_the_flag_decides_nothing",
        "tests/billing_service/test_mistakes_of_others.py::test_many_keys_in_random_order_with_duplicates",
        "tests/billing_service/test_model.py::test_the_receiver_is_its_model",
        "tests/billing_service/test_database_trouble.py::test_a_crash_of_postgres",
        "tests/chaos/test_replicas.py::test_duplicates_on_two_replicas_of_billing",
    ),
    "billing_service/metrics.py": (
        "tests/billing_service/test_charges.py::test_the_diagnosis_is_counted",
    ),
    "billing_service/opening.py": (
        "tests/billing_service/test_opening.py::test_accounts_are_opened_and_stay",
        "tests/billing_service/test_opening.py::test_another_balance_is_an_error",
        "tests/billing_service/test_opening.py::test_without_a_database",
    ),
    "billing_service/batching/fast_path.py": (
        "tests/billing_service/test_fast_path.py::test_an_answer_is_what_a_single_charge_gets",
        "tests/billing_service/test_fast_path.py::test_a_new_key",
        "tests/billing_service/test_fast_path.py::test_what_is_known_is_answered",
        "tests/billing_service/test_fast_path.py::test_what_is_held_elsewhere",
        "tests/billing_service/test_fast_path.py::test_a_key_that_is_inserted_unannounced",
        "tests/billing_service/test_fast_path.py::test_the_index_decides",
        "tests/billing_service/test_group_commit.py::test_an_overdraft_is_judged_in_the_order_of_arrival",
    ),
    "billing_service/problems.py": (
        "tests/test_openapi.py::test_documented_answers_only",
        "tests/order_service/test_answers.py::test_the_wire_lists_what_billing_publishes",
    ),
    "billing_service/process.py": (
        "tests/test_making.py::test_nothing_outside_is_touched",
        "tests/billing_service/test_database_trouble.py::test_no_database_at_all",
    ),
    "billing_service/batching/queue.py": (
        "tests/billing_service/test_group_commit.py::test_twins",
        "tests/billing_service/test_group_commit.py::test_twins_of_a_key_that_is_committed_elsewhere",
        "tests/billing_service/test_group_commit.py::test_two_batches_at_once_share_no_account",
        "tests/billing_service/test_group_commit.py::test_the_order_of_arrival_behind_a_batch",
        "tests/billing_service/test_group_commit.py::test_the_order_of_arrival_at_a_held_account",
    ),
    "billing_service/stored_answers.py": (
        "tests/billing_service/test_stored_answers.py::test_every_form_of_a_charge_names_its_order",
        "tests/billing_service/test_stored_answers.py::test_a_decline_names_its_order",
        "tests/billing_service/test_stored_answers.py::test_an_old_answer_is_completed_when_it_comes_again",
        "tests/billing_service/test_stored_answers.py::test_what_a_key_did_names_its_order",
        "tests/billing_service/test_stored_answers.py::test_what_a_declined_key_did",
    ),
    "billing_service/wire.py": (
        "tests/billing_service/test_bad_input.py::test_a_bad_body",
        "tests/test_input.py::test_a_number_that_is_no_amount",
    ),
    "notification_service/app.py": (
        "tests/notification_service/test_notifications.py::test_its_database_is_away",
        "tests/notification_service/test_notifications.py::test_a_commit_without_an_answer",
        "tests/chaos/test_scenarios.py::test_a_scenario",
    ),
    "notification_service/arrivals.py": (
        "tests/notification_service/test_notifications.py::test_an_arrival_is_listed",
        "tests/notification_service/test_notifications.py::test_a_duplicate_is_visible",
        "tests/migrations/test_roles.py::test_arrivals_stay",
        "tests/notification_service/test_notifications.py::test_arrivals_that_the_standby_may_not_have",
    ),
    "service_kit/assembly/__init__.py": (
        "tests/test_borders.py::test_a_foreign_name",
        "tests/service_kit/http_guard/test_services.py::test_each_refusal_has_a_page",
        "tests/service_kit/http_guard/test_services.py::test_a_body_that_is_too_large",
        "tests/service_kit/http_guard/test_services.py::test_head_of_a_probe",
        "tests/service_kit/pages/test_pages.py::test_the_front_page_says_what_the_service_is",
    ),
    "service_kit/bearer_tokens/__init__.py": (
        "tests/service_kit/bearer_tokens/test_clients.py::test_a_token_names_its_client",
        "tests/service_kit/bearer_tokens/test_clients.py::test_any_other_header_names_no_client",
        "tests/service_kit/bearer_tokens/test_clients.py::test_every_request_is_compared_with_every_token",
    ),
    "service_kit/bearer_tokens/settings.py": (
        "tests/service_kit/bearer_tokens/test_settings.py::test_clients_that_are_refused",
        "tests/service_kit/bearer_tokens/test_settings.py::test_a_token_that_is_sent",
        "tests/service_kit/bearer_tokens/test_settings.py::test_clients_that_are_accepted",
    ),
    "service_kit/bounded_pool/__init__.py": (
        "tests/service_kit/bounded_pool/test_errors.py::test_a_silent_network_ends_at_the_deadline",
        "tests/service_kit/bounded_pool/test_errors.py::test_trouble",
        "tests/service_kit/bounded_pool/test_errors.py::test_a_lock_that_is_not_free",
        "tests/service_kit/bounded_pool/test_pool.py::test_a_read_that_waits_in_vain",
    ),
    "service_kit/bounded_pool/errors.py": (
        "tests/service_kit/bounded_pool/test_errors.py::test_trouble",
        "tests/service_kit/bounded_pool/test_errors.py::test_a_full_database_is_trouble",
        "tests/service_kit/bounded_pool/test_errors.py::test_a_defect_stays_a_defect",
    ),
    "service_kit/bounded_pool/informed.py": (
        "tests/service_kit/bounded_pool/test_informed.py::test_a_type_is_asked_for_once",
        "tests/service_kit/bounded_pool/test_informed.py::test_a_type_of_a_database_is_not_remembered",
    ),
    "service_kit/bounded_pool/pool.py": (
        "tests/service_kit/bounded_pool/test_pool.py::test_opening_needs_no_database",
        "tests/service_kit/bounded_pool/test_pool.py::test_a_session_that_is_over",
        "tests/service_kit/bounded_pool/test_pool.py::test_a_deadline_closes_the_connection_and_cancels_nothing",
        "tests/service_kit/bounded_pool/test_pool.py::test_a_caller_that_gives_up",
        "tests/service_kit/bounded_pool/test_pool.py::test_reads_leave_connections_to_writes",
        "tests/service_kit/bounded_pool/test_readiness.py::test_all_connections_are_in_use",
        "tests/billing_service/test_database_trouble.py::test_a_crash_of_postgres",
        "tests/service_kit/bounded_pool/test_standby.py::test_a_deadline_leaves_the_wait_alone",
        "tests/service_kit/bounded_pool/test_standby.py::test_a_wait_that_was_cancelled_is_unknown",
    ),
    "service_kit/bounded_pool/readiness.py": (
        "tests/service_kit/bounded_pool/test_readiness.py::test_a_database_that_is_silent",
        "tests/service_kit/bounded_pool/test_readiness.py::test_all_connections_are_in_use",
        "tests/service_kit/bounded_pool/test_readiness.py::test_many_questions_at_once",
        "tests/service_kit/bounded_pool/test_standby.py::test_readiness_names_the_standby",
    ),
    "service_kit/bounded_pool/session.py": (
        "tests/service_kit/bounded_pool/test_session.py::test_the_settings_hold",
        "tests/service_kit/bounded_pool/test_session.py::test_a_role_that_changed_its_own_defaults",
        "tests/service_kit/bounded_pool/test_session.py::test_a_new_session_that_can_only_read",
        "tests/service_kit/bounded_pool/test_session.py::test_a_pooler_in_session_mode",
        "tests/service_kit/bounded_pool/test_session.py::test_a_pooler_that_lends_for_a_transaction",
    ),
    "service_kit/direct_route/__init__.py": (
        "tests/service_kit/direct_route/test_direct_route.py::test_it_accepts_what_fastapi_accepts",
        "tests/service_kit/direct_route/test_direct_route.py::test_a_name_twice",
        "tests/service_kit/direct_route/test_direct_route.py::test_an_endpoint_that_wants_more_is_refused",
    ),
    "service_kit/direct_route/served.py": (
        "tests/service_kit/direct_route/test_served.py::test_the_same_answer",
        "tests/service_kit/direct_route/test_served.py::test_anything_else",
    ),
    "service_kit/direct_route/route.py": (
        "tests/service_kit/direct_route/test_direct_route.py::test_it_accepts_what_fastapi_accepts",
        "tests/service_kit/direct_route/test_direct_route.py::test_a_name_twice",
        "tests/service_kit/direct_route/test_direct_route.py::test_the_error_names_the_field",
        "tests/service_kit/direct_route/test_direct_route.py::test_an_endpoint_that_wants_more_is_refused",
        "tests/test_input.py::test_a_content_coding",
        "tests/test_input.py::test_another_content_type",
        "tests/test_input.py::test_a_query_beside_a_body",
    ),
    "service_kit/environment/__init__.py": (
        "tests/service_kit/environment/test_services_settings.py::test_a_wrong_setting",
        "tests/service_kit/environment/test_services_settings.py::test_no_value_is_repeated",
        "tests/service_kit/environment/test_secrecy.py::test_production_refuses_a_public_secret",
        "tests/service_kit/environment/test_secrecy.py::test_development_warns",
    ),
    "service_kit/environment/database_url.py": (
        "tests/service_kit/environment/test_database_url.py::test_a_password_that_ends_the_host",
        "tests/service_kit/environment/test_database_url.py::test_urls_that_are_accepted",
    ),
    "service_kit/environment/hosts.py": (
        "tests/service_kit/environment/test_hosts.py::test_names_that_are_accepted",
        "tests/service_kit/environment/test_hosts.py::test_names_that_are_refused",
    ),
    "service_kit/environment/passwords.py": (
        "tests/service_kit/environment/test_passwords.py::test_passwords_that_are_refused",
    ),
    "service_kit/environment/secrecy.py": (
        "tests/service_kit/environment/test_secrecy.py::test_production_refuses_a_public_secret",
        "tests/service_kit/environment/test_secrecy.py::test_development_warns",
        "tests/service_kit/environment/test_secrecy.py::test_order_service_refuses_a_public_secret",
    ),
    "service_kit/garbage_collector/__init__.py": (
        "tests/service_kit/test_garbage_collector.py::test_cycles_are_still_collected",
    ),
    "service_kit/group_commit/__init__.py": (
        "tests/service_kit/group_commit/test_group.py::test_an_item_that_finds_nothing_under_way",
        "tests/service_kit/group_commit/test_group.py::test_what_waits_goes_together_in_its_order",
        "tests/service_kit/group_commit/test_group.py::test_an_item_that_is_not_begun_in_time",
        "tests/service_kit/group_commit/test_group.py::test_the_queue_is_bounded",
    ),
    "service_kit/group_commit/group.py": (
        "tests/service_kit/group_commit/test_group.py::test_an_item_that_finds_nothing_under_way",
        "tests/service_kit/group_commit/test_group.py::test_an_item_that_cannot_go_together",
        "tests/service_kit/group_commit/test_group.py::test_a_defect_is_met_alone",
        "tests/service_kit/group_commit/test_group.py::test_a_late_group_delays_no_other_one",
        "tests/service_kit/group_commit/test_group.py::test_the_end_of_a_late_group_begins_the_next_one",
        "tests/service_kit/group_commit/test_group.py::test_an_item_that_is_not_begun_in_time",
        "tests/service_kit/group_commit/test_group.py::test_writes_that_wait_for_locks_are_bounded",
        "tests/service_kit/group_commit/test_group.py::test_a_caller_that_gives_up",
    ),
    "service_kit/group_commit/queue.py": (
        "tests/service_kit/group_commit/test_group.py::test_what_waits_goes_together_in_its_order",
        "tests/service_kit/group_commit/test_group.py::test_an_item_that_goes_back",
        "tests/service_kit/group_commit/test_group.py::test_a_caller_that_gives_up",
    ),
    "service_kit/http_guard/__init__.py": (
        "tests/service_kit/http_guard/test_attacks.py::test_a_service_under_attack",
        "tests/service_kit/http_guard/test_attacks.py::test_large_answers_that_are_not_read",
        "tests/service_kit/http_guard/test_head.py::test_a_head_is_refused",
        "tests/service_kit/http_guard/test_waiting.py::test_a_request_that_is_not_complete_in_time",
        "tests/service_kit/http_guard/test_waiting.py::test_a_refusal_waits_for_earlier_answers",
        "tests/service_kit/http_guard/test_body.py::test_a_trailer_is_left_out",
    ),
    "service_kit/http_guard/guard.py": (
        "tests/service_kit/http_guard/test_waiting.py::test_the_one_that_has_waited_longest_makes_room",
        "tests/service_kit/http_guard/test_waiting.py::test_when_all_are_being_served",
        "tests/service_kit/http_guard/test_attacks.py::test_few_descriptors",
    ),
    "service_kit/http_guard/head.py": (
        "tests/service_kit/http_guard/test_head.py::test_a_head_is_refused",
        "tests/service_kit/http_guard/test_head.py::test_a_head_is_accepted",
    ),
    "service_kit/http_guard/install.py": (
        "tests/service_kit/http_guard/test_install.py::test_a_plain_uvicorn_makes_guarded_connections",
        "tests/service_kit/http_guard/test_attacks.py::test_a_service_under_attack",
    ),
    "service_kit/http_guard/protocol.py": (
        "tests/service_kit/http_guard/test_waiting.py::test_a_request_that_is_not_complete_in_time",
        "tests/service_kit/http_guard/test_waiting.py::test_a_slow_drip_does_not_move_the_deadline",
        "tests/service_kit/http_guard/test_waiting.py::test_a_connection_without_a_request_is_closed",
        "tests/service_kit/http_guard/test_waiting.py::test_an_answer_that_is_not_read",
        "tests/service_kit/http_guard/test_waiting.py::test_the_caller_is_gone",
        "tests/service_kit/http_guard/test_waiting.py::test_a_refusal_waits_for_earlier_answers",
        "tests/service_kit/http_guard/test_waiting.py::test_a_malformed_body_waits_for_earlier_answers",
    ),
    "service_kit/http_guard/reading.py": (
        "tests/service_kit/http_guard/test_body.py::test_what_surrounds_a_body_is_bounded",
        "tests/service_kit/http_guard/test_body.py::test_a_trailer_is_left_out",
        "tests/service_kit/http_guard/test_head.py::test_a_head_is_refused",
    ),
    "service_kit/http_guard/refusals.py": (
        "tests/service_kit/http_guard/test_head.py::test_a_head_is_refused",
        "tests/service_kit/http_guard/test_services.py::test_each_refusal_has_a_page",
    ),
    "service_kit/pages/__init__.py": (
        "tests/service_kit/pages/test_pages.py::test_a_page_loads_only_what_the_service_has",
        "tests/service_kit/pages/test_pages.py::test_the_policy_of_each_page",
        "tests/service_kit/pages/test_pages.py::test_a_page_is_no_operation",
        "tests/browser/test_service_pages.py::test_the_operations_can_be_tried",
    ),
    "service_kit/pages/document.py": (
        "tests/service_kit/pages/test_pages.py::test_the_policy_of_each_page",
    ),
    "service_kit/pages/install.py": (
        "tests/service_kit/pages/test_pages.py::test_every_link_of_the_front_page_leads_somewhere",
        "tests/service_kit/pages/test_pages.py::test_the_front_page_says_what_the_service_is",
    ),
    "service_kit/problem_details/__init__.py": (
        "tests/service_kit/problem_details/test_problem_details.py::test_every_error_is_a_problem_with_a_page",
        "tests/test_openapi.py::test_documented_answers_only",
    ),
    "service_kit/problem_details/body_limit.py": (
        "tests/service_kit/problem_details/test_body_limit.py::test_an_announced_length",
        "tests/billing_service/test_bad_input.py::test_a_body_over_the_limit",
    ),
    "service_kit/problem_details/host_check.py": (
        "tests/service_kit/problem_details/test_host_check.py::test_a_foreign_name",
        "tests/service_kit/problem_details/test_host_check.py::test_none_or_two",
        "tests/service_kit/problem_details/test_host_check.py::test_a_page_of_another_origin",
        "tests/service_kit/problem_details/test_host_check.py::test_two_origins",
        "tests/service_kit/problem_details/test_host_check.py::test_a_caller_that_is_not_another_page",
        "tests/test_borders.py::test_a_foreign_name",
        "tests/test_borders.py::test_a_foreign_page",
    ),
    "service_kit/problem_details/install.py": (
        "tests/service_kit/problem_details/test_problem_details.py::test_every_error_is_a_problem_with_a_page",
        "tests/service_kit/problem_details/test_problem_details.py::test_a_defect_tells_nothing",
        "tests/service_kit/problem_details/test_problem_details.py::test_input_is_not_repeated",
    ),
    "service_kit/problem_details/pages.py": (
        "tests/billing_service/test_bad_input.py::test_every_problem_has_a_page",
        "tests/service_kit/problem_details/test_problem_details.py::test_pages_are_escaped",
    ),
    "service_kit/problem_details/problem.py": (
        "tests/service_kit/problem_details/test_problem_details.py::test_a_text_that_cannot_be_encoded",
    ),
    "service_kit/strict_input/__init__.py": (
        "tests/service_kit/strict_input/test_values.py::test_another_spelling_of_an_integer",
        "tests/service_kit/strict_input/test_values.py::test_another_spelling_of_a_uuid",
        "tests/service_kit/strict_input/test_values.py::test_no_two_texts_are_one_integer",
        "tests/service_kit/strict_input/test_text.py::test_hidden_characters",
        "tests/test_input.py::test_another_spelling_of_a_key",
    ),
    "service_kit/strict_input/text.py": (
        "tests/service_kit/strict_input/test_text.py::test_hidden_characters",
        "tests/service_kit/strict_input/test_text.py::test_text_of_any_script",
        "tests/test_input.py::test_a_text_that_hides_something",
    ),
    "service_kit/strict_input/url.py": (
        "tests/test_input.py::test_a_query_of_another_form",
        "tests/test_input.py::test_a_query_that_nothing_reads",
        "tests/test_input.py::test_another_spelling_of_a_key",
        "tests/test_input.py::test_another_spelling_of_an_account",
    ),
    "service_kit/strict_input/values.py": (
        "tests/service_kit/strict_input/test_values.py::test_the_one_spelling_of_an_integer",
        "tests/service_kit/strict_input/test_values.py::test_another_spelling_of_an_integer",
        "tests/service_kit/strict_input/test_values.py::test_no_two_texts_are_one_integer",
        "tests/service_kit/strict_input/test_values.py::test_the_one_spelling_of_a_uuid",
        "tests/service_kit/strict_input/test_values.py::test_another_spelling_of_a_uuid",
    ),
    "service_kit/structured_fields/__init__.py": (
        "tests/service_kit/structured_fields/test_item.py::test_the_short_way_is_the_parsers",
        "tests/service_kit/structured_fields/test_item.py::test_the_edges",
        "tests/service_kit/structured_fields/test_item.py::test_several_lines_are_no_item",
    ),
    "service_kit/telemetry/__init__.py": (
        "tests/billing_service/test_database_trouble.py::test_no_database_at_all",
        "tests/test_outages.py::test_a_phase_in_which_the_database_only_reads",
        "tests/billing_service/test_charges.py::test_the_diagnosis_is_counted",
    ),
    "service_kit/telemetry/endpoints.py": (
        "tests/service_kit/telemetry/test_endpoints.py::test_the_boot_id_is_that_of_the_process",
    ),
    "service_kit/telemetry/logs.py": (
        "tests/service_kit/telemetry/test_logs.py::test_every_line_has_the_same_form",
    ),
    "service_kit/telemetry/trace.py": (
        "tests/service_kit/telemetry/test_logs.py::test_a_request_carries_its_trace_into_each_line",
        "tests/order_service/test_cancel.py::test_one_trace_through_all_services",
    ),
    "examples/caller.py": (
        "tests/examples/test_caller.py::test_an_order_is_settled_once",
        "tests/examples/test_caller.py::test_an_answer_that_is_not_believed",
        "tests/examples/test_caller.py::test_a_caller_that_believes_any_order",
        "tests/examples/test_caller.py::test_an_order_of_a_process_that_died",
    ),
    "examples/receiver.py": (
        "tests/examples/test_receiver.py::test_the_receiver_is_the_model_of_the_service",
        "tests/examples/test_receiver.py::test_a_receiver_without_one_of_its_protections",
        "tests/examples/test_receiver.py::test_the_mark_cannot_move_between_reading_it_and_the_claim",
        "tests/examples/test_table.py::test_a_cell",
        "tests/examples/test_table.py::test_a_receiver_without_its_unique_key",
    ),
    "stack/bootstrap.py": (
        "tests/stack/test_bootstrap.py::test_settings_for_other_places",
        "tests/stack/test_bootstrap.py::test_an_index_that_cannot_be_reached",
    ),
    "stack/clean.py": ("tests/stack/test_clean.py::test_a_stack_that_runs",),
    "stack/credentials.py": (
        "tests/stack/test_credentials.py::test_each_use_has_a_secret_of_its_own",
        "tests/stack/test_credentials.py::test_they_stay",
        "tests/stack/test_service_environ.py::test_a_token_of_one_service_at_another",
    ),
    "stack/early_signals.py": (
        "tests/stack/test_interruption.py::test_ctrl_c_while_the_interpreter_starts",
        "tests/stack/test_interruption.py::test_ctrl_c_while_modules_are_imported",
    ),
    "chaos/evidence/told.py": (
        "tests/chaos/test_told.py::test_what_is_not_there",
        "tests/chaos/test_told.py::test_what_is_there",
        "tests/chaos/test_told.py::test_what_leaves_the_outcome_open",
    ),
    "chaos/harness/failover.py": ("tests/chaos/test_planted.py::test_a_planted_bug_is_caught",),
    "chaos/patroni/__main__.py": (
        "tests/chaos/test_patroni.py::test_a_strike_that_is_survived",
        "tests/chaos/test_patroni.py::test_what_was_told_is_lost",
        "tests/chaos/test_patroni.py::test_a_cluster_that_does_not_come_back",
        "tests/chaos/test_patroni.py::test_a_piece_that_does_not_start",
    ),
    "chaos/patroni/cluster.py": (
        "tests/chaos/test_patroni.py::test_a_cluster_that_is_whole",
        "tests/chaos/test_patroni.py::test_a_cluster_in_which_a_leader_has_no_successor",
        "tests/chaos/test_patroni.py::test_the_page_shows_the_file_that_is_used",
        "tests/chaos/test_patroni.py::test_a_node_that_is_killed_or_paused",
    ),
    "chaos/patroni/programs.py": (
        "tests/chaos/test_patroni.py::test_etcd_is_missing",
        "tests/chaos/test_patroni.py::test_patroni_cannot_be_installed",
    ),
    "chaos/patroni/deployment.py": (
        "tests/service_kit/bounded_pool/test_hosts.py::test_a_server_that_can_write_comes_last",
    ),
    "chaos/scenarios/clones.py": ("tests/chaos/test_scenarios.py::test_a_scenario",),
    "chaos/scenarios/failovers.py": ("tests/chaos/test_scenarios.py::test_a_scenario",),
    "chaos/steps/clones.py": ("tests/chaos/test_scenarios.py::test_a_scenario",),
    "chaos/steps/failover_judgement.py": (
        "tests/chaos/test_planted.py::test_a_planted_bug_is_caught",
    ),
    "chaos/steps/failover_questions.py": (
        "tests/chaos/test_planted.py::test_a_planted_bug_is_caught",
    ),
    "chaos/steps/failovers.py": ("tests/chaos/test_scenarios.py::test_a_scenario",),
    "chaos/steps/failovers_under_load.py": ("tests/chaos/test_scenarios.py::test_a_scenario",),
    "service_kit/bounded_pool/hosts.py": (
        "tests/service_kit/bounded_pool/test_hosts.py::test_a_silent_server_comes_first",
        "tests/service_kit/bounded_pool/test_hosts.py::test_a_server_that_can_write_comes_last",
    ),
    "service_kit/bounded_pool/warnings.py": (
        "tests/service_kit/bounded_pool/test_standby.py::test_a_wait_that_was_cancelled_is_unknown",
        "tests/service_kit/bounded_pool/test_standby.py::test_only_warnings_count",
    ),
    "stack/beside.py": ("tests/chaos/test_upgrade.py::test_nothing_is_lost_or_doubled",),
    "stack/database.py": (
        "tests/stack/test_standby.py::test_there_and_back",
        "tests/stack/test_standby.py::test_the_next_start_finds_the_promoted_server",
    ),
    "stack/promote.py": ("tests/stack/test_standby.py::test_nothing_to_promote",),
    "stack/serving.py": (
        "tests/stack/test_serving.py::test_a_signal_stops_it",
        "tests/stack/test_serving.py::test_a_failed_part_ends_it",
        "tests/stack/test_standby.py::test_a_running_stack_fails_over",
        "tests/chaos/test_up.py::test_a_command_that_is_killed",
    ),
    "stack/standby.py": (
        "tests/stack/test_standby.py::test_commits_wait_for_the_standby",
        "tests/stack/test_standby.py::test_a_standby_that_cannot_be_made",
        "tests/stack/test_standby.py::test_a_promotion_that_fails",
    ),
    "stack/embedded.py": (
        "tests/chaos/test_up.py::test_a_command_that_is_killed",
        "tests/chaos/test_up.py::test_the_description_can_be_used",
        "tests/chaos/test_command_line.py::test_a_wrong_setting",
        "tests/stack/test_stack.py::test_the_description_is_true_as_long_as_it_is_there",
        "tests/stack/test_servers.py::test_postgres_gives_up_in_one_sentence",
    ),
    "stack/environ.py": (
        "tests/stack/test_environ.py::test_a_child_gets_what_it_needs_and_nothing_else",
        "tests/stack/test_environ.py::test_a_download_goes_where_the_person_wants",
        "tests/chaos/test_up.py::test_a_shell_with_settings_for_other_programs",
    ),
    "stack/http_client.py": (
        "tests/stack/test_http_client.py::test_the_shell_redirects_nothing",
        "tests/stack/test_http_client.py::test_no_certificate_is_read",
    ),
    "stack/interruption.py": (
        "tests/stack/test_interruption.py::test_ctrl_c_while_modules_are_imported",
        "tests/stack/test_interruption.py::test_the_end_of_a_command",
        "tests/chaos/test_up.py::test_a_hangup_under_nohup",
    ),
    "stack/nursery.py": (
        "tests/stack/test_nursery.py::test_it_is_like_one_that_was_executed",
        "tests/stack/test_nursery.py::test_an_exit_code",
        "tests/stack/test_nursery.py::test_the_nursery_is_killed",
        "tests/stack/test_nursery.py::test_nothing_is_left_when_the_owner_is_killed",
    ),
    "stack/output.py": (
        "tests/stack/test_interruption.py::test_a_terminal_that_lacks_a_character",
        "tests/stack/test_interruption.py::test_a_reader_that_has_gone",
    ),
    "stack/ports.py": (
        "tests/chaos/test_command_line.py::test_a_named_port_that_is_taken",
        "tests/chaos/test_up.py::test_usual_ports_that_are_taken",
    ),
    "stack/postgres.py": (
        "tests/migrations/test_migrations.py::test_durability_is_as_it_comes",
        "tests/chaos/test_up.py::test_a_command_that_is_killed",
    ),
    "stack/processes.py": (
        "tests/chaos/test_up.py::test_a_command_that_is_killed",
        "tests/stack/test_processes.py::test_a_death_is_recorded_and_healed",
        "tests/stack/test_processes.py::test_a_kill_right_after_a_kill",
        "tests/stack/test_processes.py::test_who_does_not_stop_is_killed",
    ),
    "stack/programs.py": (
        "tests/stack/test_programs.py::test_an_interrupted_program",
        "tests/stack/test_programs.py::test_one_at_a_time",
    ),
    "stack/targets.py": (
        "tests/stack/test_targets.py::test_each_process_by_its_own_address",
        "tests/deploy/test_prometheus.py::test_every_process_is_found",
        "tests/stack/test_stack.py::test_the_description_is_true_as_long_as_it_is_there",
    ),
    "stack/replicas.py": (
        "tests/lab/test_containers.py::test_a_killed_process_is_another_one_afterwards",
        "tests/lab/test_containers.py::test_a_service_is_exchanged",
    ),
    "stack/run_directory.py": (
        "tests/stack/test_run_directory.py::test_one_stack_at_a_time",
        "tests/stack/test_run_directory.py::test_a_description_that_is_left_over",
        "tests/stack/test_run_directory.py::test_a_lock_that_was_deleted_meanwhile",
    ),
    "stack/schema.py": (
        "tests/chaos/test_up.py::test_a_shell_with_settings_for_other_programs",
        "tests/stack/test_environ.py::test_a_child_gets_what_it_needs_and_nothing_else",
    ),
    "stack/serve.py": (
        "tests/stack/test_serve.py::test_it_answers_as_under_uvicorns_command_line",
        "tests/stack/test_serve.py::test_a_service_that_cannot_start",
    ),
    "stack/servers.py": (
        "tests/stack/test_lent_servers.py::test_a_stack_leaves_nothing_for_the_next_one",
        "tests/chaos/test_up.py::test_a_command_that_is_killed",
    ),
    "stack/service_environ.py": (
        "tests/stack/test_service_environ.py::test_what_a_person_has_set",
        "tests/stack/test_service_environ.py::test_the_environment_of_each_process",
        "tests/stack/test_service_environ.py::test_settings_of_a_service_name_no_other",
    ),
    "stack/toxics.py": (
        "tests/stack/test_toxics.py::test_an_admin_api_that_hangs",
        "tests/stack/test_toxics.py::test_another_program_at_the_address",
        "tests/stack/test_toxics.py::test_an_answer_that_breaks_off",
        "tests/stack/test_toxics.py::test_a_misspelt_attribute_is_noticed",
        "tests/stack/test_toxics.py::test_each_difference_is_noticed",
        "tests/stack/test_toxics.py::test_what_the_server_refuses_is_refused",
    ),
    "stack/toxiproxy.py": (
        "tests/stack/test_toxics.py::test_the_version",
        "tests/stack/test_programs.py::test_one_at_a_time",
    ),
    "stack/waiting.py": (
        "tests/stack/test_waiting.py::test_the_evidence_ends_it",
        "tests/stack/test_waiting.py::test_the_bound_ends_it",
    ),
    "report/captions.py": (
        "tests/report/test_sequence.py::test_a_retry_shows_its_key_and_its_flag",
        "tests/report/test_sequence.py::test_an_event_without_a_drawing_is_written_down",
    ),
    "report/command.py": (
        "tests/report/test_command.py::test_one_scenario",
        "tests/report/test_command.py::test_the_whole_run",
        "tests/report/test_command.py::test_it_can_be_typed",
    ),
    "report/diagram.py": (
        "tests/report/test_diagram.py::test_hostile_text_adds_no_element",
        "tests/report/test_diagram.py::test_every_row_is_a_line",
        "tests/report/test_diagram.py::test_the_drawings_differ_where_the_stories_do",
    ),
    "report/drawing.py": (
        "tests/report/test_diagram.py::test_labels_stay_within_the_picture",
        "tests/report/test_diagram.py::test_losses_and_crashes_are_seen",
    ),
    "report/durations.py": ("tests/report/test_durations.py::test_a_result_that_cannot_be_read",),
    "report/exchanges.py": (
        "tests/report/test_exchanges.py::test_an_answered_attempt",
        "tests/report/test_exchanges.py::test_another_request_is_not_its_arrival",
        "tests/report/test_exchanges.py::test_a_second_retry",
        "tests/report/test_exchanges.py::test_what_comes_after_the_answer",
    ),
    "report/figure.py": ("tests/report/test_sequence.py::test_whatever_was_recorded_can_be_drawn",),
    "report/headline.py": (
        "tests/report/test_page.py::test_the_table_shows_what_differs",
        "tests/report/test_page.py::test_one_cell_for_what_looks_the_same",
        "tests/report/test_page.py::test_a_clean_table_has_no_offence",
        "tests/report/test_page.py::test_a_cell_that_was_not_played_says_so",
    ),
    "report/history.py": (
        "tests/report/test_history.py::test_the_whole_history_comes_back",
        "tests/report/test_history.py::test_a_line_that_is_no_event_is_refused",
        "tests/report/test_history.py::test_writing_again_replaces",
        "tests/report/test_history.py::test_a_scenario_has_its_own_events_by_time",
    ),
    "report/junit.py": (
        "tests/report/test_junit.py::test_a_clean_run_has_no_failure",
        "tests/report/test_junit.py::test_what_did_not_pass",
        "tests/report/test_junit.py::test_a_run_that_could_not_be_judged",
        "tests/report/test_junit.py::test_hostile_text_stays_text",
    ),
    "report/lanes.py": (
        "tests/report/test_sequence.py::test_the_lanes_of_the_stack",
        "tests/report/test_sequence.py::test_replicas_have_a_lane_each",
        "tests/report/test_sequence.py::test_a_crash_is_marked_and_leaves_its_lane_dead",
        "tests/report/test_sequence.py::test_a_replica_that_lives_on_keeps_its_lane",
    ),
    "report/markup.py": (
        "tests/report/test_page.py::test_hostile_text_is_not_markup",
        "tests/report/test_diagram.py::test_hostile_text_adds_no_element",
    ),
    "report/numbers.py": ("tests/report/test_numbers.py::test_a_number_without_a_word",),
    "lab/app.py": (
        "tests/lab/test_access.py::test_a_foreign_command_is_refused",
        "tests/lab/test_access.py::test_a_foreign_host_sees_nothing",
        "tests/lab/test_access.py::test_what_cannot_be_done_is_refused",
    ),
    "lab/challenge.py": (
        "tests/lab/test_play.py::test_a_line_of_code_that_is_named",
        "tests/lab/test_play.py::test_a_protection_that_is_taken_away_is_missed",
    ),
    "lab/columns.py": ("tests/lab/test_play.py::test_messages_that_are_stopped",),
    "lab/containers.py": (
        "tests/lab/test_containers.py::test_what_an_earlier_lab_has_planted_is_taken_away",
    ),
    "lab/server.py": ("tests/lab/test_life.py::test_ctrl_c_in_the_middle_of_an_order",),
    "lab/setup.py": (
        "tests/lab/test_containers.py::test_a_killed_process_is_another_one_afterwards",
        "tests/lab/test_play.py::test_a_situation",
    ),
    "lab/supervisor.py": (
        "tests/lab/test_containers.py::test_only_its_owner_reaches_the_socket",
        "tests/lab/test_containers.py::test_a_service_is_exchanged",
        "tests/lab/test_containers.py::test_a_killed_supervisor_comes_back",
    ),
    "lab/document.py": (
        "tests/browser/test_lab.py::test_a_saved_file_replays_alone",
        "tests/lab/test_play.py::test_diagrams_and_the_saved_file",
    ),
    "lab/held.py": (
        "tests/lab/test_messages.py::test_a_message_whose_service_has_gone_is_held_no_longer",
        "tests/lab/test_play.py::test_messages_that_are_stopped",
    ),
    "lab/history.py": (
        "tests/lab/test_history.py::test_two_pages_hear_the_same",
        "tests/lab/test_history.py::test_a_page_that_comes_again_gets_what_it_missed",
        "tests/lab/test_history.py::test_a_page_that_does_not_read_is_let_go",
    ),
    "lab/ledger.py": (
        "tests/lab/test_play.py::test_a_situation",
        "tests/browser/test_lab.py::test_the_tour_by_keyboard",
    ),
    "lab/messages.py": (
        "tests/lab/test_messages.py::test_the_next_attempt_waits_for_the_end_of_the_fault",
        "tests/lab/test_play.py::test_messages_that_are_stopped",
        "tests/lab/test_play.py::test_a_situation",
    ),
    "lab/network.py": (
        "tests/lab/test_play.py::test_a_toxic_that_cannot_be_armed",
        "tests/lab/test_play.py::test_a_situation",
    ),
    "lab/opening.py": ("tests/lab/test_play.py::test_what_is_outside_of_the_table",),
    "lab/planting.py": ("tests/lab/test_play.py::test_a_protection_that_is_taken_away_is_missed",),
    "lab/plans.py": (
        "tests/lab/test_plans.py::test_what_was_written_is_read_again",
        "tests/lab/test_plans.py::test_what_is_no_plan_is_refused",
    ),
    "lab/play.py": (
        "tests/lab/test_access.py::test_one_order_at_a_time",
        "tests/lab/test_play.py::test_a_toxic_that_cannot_be_armed",
        "tests/lab/test_play.py::test_answers_that_are_cut",
    ),
    "lab/cutting.py": ("tests/lab/test_play.py::test_answers_that_are_cut",),
    "lab/repair.py": ("tests/lab/test_play.py::test_trouble_with_toxiproxy",),
    "lab/rounds.py": ("tests/lab/test_play.py::test_a_situation",),
    "lab/serving.py": ("tests/lab/test_life.py::test_a_second_lab_says_what_runs",),
    "lab/shell.py": ("tests/lab/test_shell.py::test_no_token_in_a_line",),
    "lab/strikes.py": (
        "tests/lab/test_play.py::test_a_situation",
        "tests/lab/test_play.py::test_a_toxic_that_cannot_be_armed",
    ),
    "lab/switchboard.py": ("tests/lab/test_shell.py::test_messages_pass_while_nobody_listens",),
    "lab/tally.py": (
        "tests/lab/test_play.py::test_what_is_outside_of_the_table",
        "tests/lab/test_play.py::test_harm_is_counted",
    ),
    "lab/watching.py": (
        "tests/lab/test_play.py::test_what_is_outside_of_the_table",
        "tests/lab/test_play.py::test_answers_that_are_cut",
    ),
    "lab/__main__.py": (
        "tests/lab/test_life.py::test_ctrl_c_in_the_middle_of_an_order",
        "tests/lab/test_life.py::test_a_second_lab_says_what_runs",
    ),
    "report/head.py": (
        "tests/report/test_page.py::test_only_its_own_style_and_script_may_run",
        "tests/report/test_replay.py::test_nothing_else_is_asked_for",
    ),
    "report/replay.py": (
        "tests/report/test_replay.py::test_nothing_else_is_asked_for",
        "tests/browser/test_lab.py::test_a_saved_file_replays_alone",
    ),
    "report/page.py": (
        "tests/report/test_page.py::test_the_page_needs_nothing_else",
        "tests/report/test_page.py::test_only_its_own_style_and_script_may_run",
        "tests/report/test_page.py::test_what_went_wrong_stands_first",
    ),
    "report/plain_text.py": (
        "tests/report/test_diagram.py::test_every_row_is_a_line",
        "tests/report/test_diagram.py::test_a_remark_is_not_lost_for_lack_of_room",
    ),
    "report/printable.py": ("tests/report/test_printable.py::test_nothing_unprintable_is_left",),
    "report/saved.py": ("tests/report/test_saved.py::test_the_same_pages_again",),
    "report/section.py": (
        "tests/report/test_page.py::test_failures_are_open_and_passes_closed",
        "tests/report/test_page.py::test_a_promise_that_could_not_be_judged_is_not_kept",
        "tests/report/test_page.py::test_what_went_wrong_stands_first",
    ),
    "report/sequence.py": (
        "tests/report/test_sequence.py::test_a_lost_request_ends_at_toxiproxy",
        "tests/report/test_sequence.py::test_a_lost_answer_ends_at_toxiproxy",
        "tests/report/test_sequence.py::test_taking_the_arrival_away_makes_it_lost",
        "tests/report/test_sequence.py::test_whatever_was_recorded_can_be_drawn",
    ),
    "report/words.py": (
        "tests/report/test_words.py::test_money_that_differs",
        "tests/report/test_words.py::test_money_that_could_not_be_compared",
        "tests/report/test_words.py::test_no_verdict",
        "tests/report/test_words.py::test_a_run_in_one_sentence",
    ),
    "migrations/env.py": (
        "tests/migrations/test_migrations.py::test_two_runs_at_the_same_moment",
        "tests/migrations/test_downgrades.py::test_voided_keys_keep_a_database_from_going_back",
        "tests/migrations/test_clients_of_orders.py::test_back_with_orders_of_clients",
    ),
    "chaos/__main__.py": (
        "tests/chaos/test_command_line.py::test_the_demo_without_a_terminal",
        "tests/chaos/test_command_line.py::test_an_interrupted_run_is_written",
        "tests/chaos/test_up.py::test_a_command_that_is_killed",
        "tests/chaos/test_command_line.py::test_a_run_leaves_a_report",
        "tests/stack/test_interruption.py::test_the_end_of_a_command",
    ),
    "chaos/arguments.py": (
        "tests/chaos/test_command_line.py::test_wrong_arguments",
        "tests/chaos/test_command_line.py::test_a_wrong_argument_of_the_chaos_commands",
        "tests/chaos/test_command_line.py::test_a_plan_that_is_none",
        "tests/chaos/test_command_line.py::test_a_stack_json_that_is_none",
    ),
    "chaos/compose/__main__.py": ("tests/compose/test_command_line.py::test_without_docker",),
    "chaos/compose/inspection.py": (
        "tests/compose/test_inspection.py::test_a_guarded_container_is_accepted",
        "tests/compose/test_inspection.py::test_an_offence_is_noticed",
        "tests/compose/test_inspection.py::test_the_image_is_accepted",
        "tests/compose/test_inspection.py::test_an_offence_of_the_image_is_noticed",
    ),
    "chaos/compose/lab.py": (
        "tests/compose/test_judgement.py::test_a_page_that_tells_the_truth",
        "tests/compose/test_judgement.py::test_a_page_that_does_not",
    ),
    "chaos/compose/load.py": (
        "tests/compose/test_judgement.py::test_a_clean_load_passes",
        "tests/compose/test_judgement.py::test_a_load_that_shows_less_does_not_pass",
    ),
    "chaos/compose/pause.py": (
        "tests/compose/test_deployment.py::test_a_charge_is_paused",
        "tests/compose/test_deployment.py::test_without_a_charge_nothing_is_paused",
    ),
    "chaos/compose/project.py": (
        "tests/compose/test_project.py::test_two_projects_share_nothing",
        "tests/compose/test_project.py::test_each_command_names_its_project",
    ),
    "chaos/compose/deployment.py": (
        "tests/compose/test_deployment.py::test_money_is_read_past_every_service",
        "tests/compose/test_deployment.py::test_a_wait_ends_and_names_what_it_waited_for",
    ),
    "chaos/compose/situations.py": (
        "tests/compose/test_judgement.py::test_the_money_decides",
        "tests/compose/test_judgement.py::test_without_a_witness_nothing_is_known",
    ),
    "chaos/evidence/journal.py": (
        "tests/chaos/test_wrapped_services.py::test_a_line_that_was_cut_short_is_left_out",
        "tests/chaos/test_wrapped_services.py::test_an_incomplete_request_is_no_arrival",
    ),
    "chaos/evidence/readings.py": (
        "tests/chaos/test_evidence.py::test_a_charge_of_another_client",
        "tests/chaos/test_evidence.py::test_money_that_no_client_explains",
        "tests/chaos/test_target.py::test_a_described_stack",
    ),
    "chaos/faults/account_lock.py": (
        "tests/chaos/test_account_lock.py::test_who_waits_is_seen_also_when_the_session_began_after_the_first_look",
    ),
    "chaos/faults/control.py": (
        "tests/chaos/test_wrapped_services.py::test_a_barrier_holds_until_it_is_released",
    ),
    "chaos/faults/wrapped_services.py": (
        "tests/chaos/test_wrapped_services.py::test_a_request_passes_unchanged",
        "tests/chaos/test_wrapped_services.py::test_no_scenario_is_being_played",
    ),
    "chaos/harness/background.py": (
        "tests/chaos/test_background.py::test_a_collector_that_ends_with_its_first_trouble",
        "tests/chaos/test_background.py::test_a_process_that_is_stopped_for_good",
        "tests/chaos/test_background.py::test_a_process_that_does_not_come_back",
    ),
    "chaos/harness/barriers.py": (
        "tests/chaos/test_steps_of_scenarios.py::test_a_caller_that_is_held_before_its_second_attempt",
        "tests/chaos/test_steps_of_scenarios.py::test_a_caller_that_is_held_in_postgres",
    ),
    "chaos/harness/context.py": (
        "tests/chaos/test_interference.py::test_a_fault_that_was_switched_off",
    ),
    "chaos/harness/harness.py": (
        "tests/chaos/test_target.py::test_a_described_stack",
        "tests/chaos/test_target.py::test_what_needs_processes_is_not_played",
    ),
    "chaos/harness/target.py": ("tests/chaos/test_target.py::test_a_described_stack",),
    "chaos/mutation.py": ("tests/chaos/test_mutation.py::test_a_bug_is_caught_by_its_own_promise",),
    "chaos/promises/audit.py": (
        "tests/chaos/test_audit.py::test_a_consistent_database",
        "tests/chaos/test_audit.py::test_another_client_names_an_order",
        "tests/chaos/test_audit.py::test_a_withdrawal_of_another_client_covers_no_order",
        "tests/chaos/test_audit.py::test_a_balance_that_follows_from_none",
        "tests/chaos/test_audit.py::test_two_replicas_left_the_same_balance",
    ),
    "chaos/promises/catalogue.py": (
        "tests/chaos/test_promises.py::test_every_promise_has_its_control",
        "tests/chaos/test_promises.py::test_a_promise_says_no",
        "tests/chaos/test_promises.py::test_what_was_not_journaled_is_not_judged",
    ),
    "chaos/promises/verdict.py": (
        "tests/chaos/test_verdict.py::test_a_broken_promise_fails",
        "tests/chaos/test_verdict.py::test_without_a_witness_it_is_unknown",
        "tests/chaos/test_verdict.py::test_money_lost_is_wrong_whatever_struck",
        "tests/chaos/test_verdict.py::test_nothing_judged_is_unknown",
    ),
    "chaos/results/latest.py": (
        "tests/chaos/results/test_story.py::test_where_the_report_is",
        "tests/chaos/results/test_story.py::test_without_a_link_a_run_is_as_good",
    ),
    "chaos/results/story.py": (
        "tests/chaos/results/test_story.py::test_what_was_paid_has_its_colour_and_its_words",
        "tests/chaos/results/test_story.py::test_a_cell_that_did_not_pass_has_its_reason_beside_it",
        "tests/chaos/results/test_story.py::test_the_cells_are_told_in_the_order_of_the_table",
    ),
    "chaos/results/cells.py": (
        "tests/chaos/results/test_progress.py::test_a_cell_of_the_table_that_did_not_pass",
    ),
    "chaos/results/lines.py": (
        "tests/chaos/results/test_progress.py::test_a_run_fits_80_columns",
        "tests/chaos/results/test_progress.py::test_the_longest_line_fits",
        "tests/chaos/test_command_line.py::test_a_name_that_is_a_part_of_another",
    ),
    "chaos/results/progress.py": (
        "tests/chaos/results/test_progress.py::test_a_run_fits_80_columns",
        "tests/chaos/results/test_progress.py::test_the_longest_line_fits",
        "tests/chaos/results/test_progress.py::test_a_reason_is_wrapped_under_its_line",
        "tests/chaos/results/test_progress.py::test_without_a_terminal_it_is_plain",
    ),
    "chaos/results/result.py": (
        "tests/chaos/results/test_result.py::test_what_was_not_measured_has_no_figure",
        "tests/chaos/test_command_line.py::test_a_run_leaves_a_report",
    ),
    "chaos/runner/interrupted.py": (
        "tests/chaos/test_command_line.py::test_an_interrupted_run_is_written",
    ),
    "chaos/runner/play.py": (
        "tests/chaos/test_interference.py::test_the_stage_is_left_as_it_was",
        "tests/chaos/test_background.py::test_a_process_that_is_stopped_for_good",
    ),
    "chaos/runner/run.py": (
        "tests/chaos/test_steps_of_scenarios.py::test_a_seed_decides_the_order_of_the_scenarios",
        "tests/chaos/test_steps_of_scenarios.py::test_how_the_wrapped_stack_differs_from_the_bare_one",
    ),
    "chaos/runner/whole.py": (
        "tests/chaos/test_whole.py::test_what_the_audit_found",
        "tests/chaos/test_whole.py::test_a_target_with_a_past",
    ),
    "chaos/scenarios/catalogue.py": (
        "tests/chaos/test_command_line.py::test_the_list",
        "tests/chaos/test_scenarios.py::test_a_scenario",
    ),
    "chaos/scenarios/effects.py": ("tests/chaos/test_verdict.py::test_the_cells_are_computed",),
    "chaos/scenarios/table.py": (
        "tests/chaos/test_scenarios.py::test_every_cell_has_its_scenario",
        "tests/chaos/test_scenarios.py::test_a_scenario",
    ),
    "chaos/soak/endurance.py": ("tests/chaos/test_soak.py::test_a_soak_finds_a_planted_bug",),
    "chaos/soak/plan.py": (
        "tests/chaos/test_soak.py::test_a_plan_is_a_function_of_its_seed",
        "tests/chaos/test_soak.py::test_a_plan_is_read_as_it_was_written",
    ),
    "chaos/soak/rounds.py": ("tests/chaos/test_soak.py::test_a_soak_finds_a_planted_bug",),
    "chaos/soak/shrink.py": (
        "tests/chaos/test_soak.py::test_a_failing_plan_is_made_small",
        "tests/chaos/test_soak.py::test_shrinking_is_bounded",
        "tests/chaos/test_soak.py::test_a_soak_finds_a_planted_bug",
    ),
    "chaos/steps/concurrent_charges.py": (
        "tests/chaos/test_steps_of_scenarios.py::test_charges_go_on_only_when_the_last_has_arrived",
    ),
    "chaos/steps/customers.py": (
        "tests/chaos/test_steps.py::test_a_customer_writes_nothing_but_a_deposit",
    ),
    "chaos/steps/database_questions.py": (
        "tests/chaos/test_steps.py::test_what_observes_changes_nothing",
        "tests/chaos/test_steps_of_scenarios.py::test_what_was_not_seen_is_a_missing_witness",
        "tests/chaos/test_steps_of_scenarios.py::test_a_database_that_cannot_be_asked",
    ),
    "chaos/steps/holds.py": ("tests/chaos/test_steps.py::test_no_step_waits_for_time",),
    "chaos/steps/network.py": (
        "tests/chaos/test_interference.py::test_a_fault_that_was_switched_off",
        "tests/chaos/test_interference.py::test_a_fault_that_is_there_only_when_it_is_looked_at",
    ),
    "chaos/steps/observations.py": (
        "tests/chaos/test_steps.py::test_what_observes_changes_nothing",
        "tests/chaos/test_steps_of_scenarios.py::test_what_was_not_seen_is_a_missing_witness",
    ),
    "chaos/steps/orders.py": ("tests/chaos/test_steps.py::test_no_step_waits_for_time",),
    "chaos/steps/other_clients.py": ("tests/chaos/test_scenarios.py::test_a_scenario",),
    "chaos/steps/processes.py": (
        "tests/chaos/test_steps_of_scenarios.py::test_the_operating_system_says_that_a_process_was_stopped",
        "tests/chaos/test_steps_of_scenarios.py::test_the_process_that_works_on_the_order_is_struck",
    ),
    "chaos/steps/transactions.py": (
        "tests/architecture/test_rules.py::test_the_project_keeps_the_rule",
    ),
    "judge/errors.py": (
        "tests/judge/test_bad_input.py::test_nothing_listens",
        "tests/judge/test_bad_input.py::test_a_start_command_that_exits",
    ),
    "judge/cases/misuse.py": (
        "tests/judge/test_planted.py::test_a_planted_bug",
        "tests/judge/test_planted.py::test_the_right_receiver",
    ),
    "judge/cases/case.py": (
        "tests/judge/test_planted.py::test_a_planted_bug",
        "tests/judge/test_planted.py::test_the_right_receiver",
    ),
    "judge/cases/crashes.py": (
        "tests/judge/test_planted.py::test_a_planted_bug",
        "tests/judge/test_services.py::test_billing_service",
    ),
    "judge/cases/keys.py": (
        "tests/judge/test_planted.py::test_the_right_receiver",
        "tests/judge/test_services.py::test_the_receiver_of_the_examples",
    ),
    "judge/probe/meter.py": (
        "tests/judge/test_bad_input.py::test_a_service_that_cannot_be_judged",
        "tests/judge/test_bad_input.py::test_a_probe_that_changes_by_itself",
    ),
    "judge/probe/sources.py": (
        "tests/judge/test_bad_input.py::test_a_probe_that_fails",
        "tests/judge/test_services.py::test_the_receiver_of_the_examples",
    ),
    "judge/probe/numbers.py": ("tests/judge/test_bad_input.py::test_a_path_to_no_number",),
    "judge/config/model.py": (
        "tests/judge/test_config.py::test_what_is_not_given_has_its_default",
        "tests/judge/test_config.py::test_a_wrong_line",
    ),
    "judge/config/reading.py": (
        "tests/judge/test_config.py::test_a_wrong_line",
        "tests/judge/test_config.py::test_what_is_no_configuration",
        "tests/judge/test_config.py::test_a_file_that_cannot_be_read",
    ),
    "judge/service.py": (
        "tests/judge/test_bad_input.py::test_a_service_that_runs_already",
        "tests/judge/test_bad_input.py::test_an_interrupted_run_leaves_nothing",
    ),
    "judge/requests.py": (
        "tests/judge/test_requests.py::test_retries_have_the_same_bytes_and_new_requests_do_not",
        "tests/judge/test_requests.py::test_integers_count_up_across_runs",
    ),
    "judge/calibration.py": (
        "tests/judge/test_bad_input.py::test_a_service_that_cannot_be_judged",
        "tests/judge/test_bad_input.py::test_a_probe_that_changes_by_itself",
    ),
    "judge/evidence.py": ("tests/judge/test_planted.py::test_the_right_receiver",),
    "judge/pytest_plugin.py": (
        "tests/judge/test_pytest_plugin.py::test_one_test_for_each_case",
        "tests/judge/test_pytest_plugin.py::test_a_judge_that_cannot_work_fails_every_test",
    ),
    "judge/loopback.py": (
        "tests/judge/test_bad_input.py::test_a_service_elsewhere",
        "tests/judge/test_bad_input.py::test_a_probe_elsewhere",
    ),
    "judge/caller.py": (
        "tests/judge/test_planted.py::test_the_right_receiver",
        "tests/judge/test_bad_input.py::test_tls_that_fails",
    ),
    "judge/runner.py": ("tests/judge/test_bad_input.py::test_an_interrupted_run_leaves_nothing",),
    "judge/outputs/page.py": ("tests/judge/test_outputs.py::test_the_page_is_well_formed",),
    "judge/outputs/diagram.py": ("tests/judge/test_outputs.py::test_the_page_is_well_formed",),
    "judge/outputs/console.py": ("tests/judge/test_outputs.py::test_no_colour_without_a_terminal",),
    "judge/outputs/badge.py": ("tests/judge/test_outputs.py::test_the_badge_says_it_in_words",),
    "judge/outputs/files.py": (
        "tests/judge/test_bad_input.py::test_a_folder_that_cannot_be_written",
        "tests/judge/test_outputs.py::test_the_files_of_a_run",
    ),
    "judge/outputs/result.py": ("tests/judge/test_outputs.py::test_the_files_of_a_run",),
    "judge/outputs/curl.py": ("tests/judge/test_requests.py::test_a_curl_command_can_be_pasted",),
    "judge/outputs/junit.py": ("tests/judge/test_outputs.py::test_junit",),
    "judge/outputs/sarif.py": ("tests/judge/test_outputs.py::test_sarif",),
    "judge/beginning.py": (
        "tests/judge/test_config.py::test_init_writes_what_can_be_read",
        "tests/judge/test_config.py::test_every_commented_line_of_init_is_allowed",
    ),
    "judge/verdict.py": (
        "tests/judge/test_planted.py::test_a_planted_bug",
        "tests/judge/test_bad_input.py::test_a_service_that_cannot_be_judged",
    ),
    "judge/processes.py": (
        "tests/judge/test_processes.py::test_a_process_in_a_session_of_its_own_is_killed",
        "tests/judge/test_processes.py::test_a_supervisor_cannot_save_its_worker",
    ),
    "judge/shell.py": (
        "tests/judge/test_processes.py::test_a_command_that_does_not_end_is_killed",
    ),
    "judge/answers.py": ("tests/judge/test_answers.py::test_the_same_answer",),
    "judge/command.py": (
        "tests/judge/test_bad_input.py::test_nothing_listens",
        "tests/judge/test_bad_input.py::test_a_case_that_does_not_exist",
    ),
    "judge/play.py": ("tests/judge/test_planted.py::test_the_right_receiver",),
    "judge/network.py": (
        "tests/judge/test_bad_input.py::test_an_interrupted_run_leaves_nothing",
        "tests/judge/test_planted.py::test_a_planted_bug",
    ),
    "judge/environ.py": (
        "tests/judge/test_processes.py::test_commands_find_the_judges_own_programs",
    ),
}

# By the heading above a row, and a text that stands in this row alone.
PROTOCOL: Mapping[str, Mapping[str, Tests]] = {
    "The wire": {
        '`Idempotency-Key: "42"`': (
            "tests/billing_service/test_headers.py::test_a_quoted_decimal_is_a_key",
            "tests/billing_service/test_headers.py::test_any_other_key_is_malformed",
        ),
        "`Idempotency-Retry: ?1`": (
            "tests/billing_service/test_headers.py::test_the_flag_is_a_boolean",
            "tests/billing_service/test_headers.py::test_the_flag_is_down_when_absent",
            "tests/billing_service/test_headers.py::test_any_other_flag_is_malformed",
        ),
        "`Idempotency-First-Incomplete: 37`": (
            "tests/billing_service/test_headers.py::test_the_mark_is_an_integer",
            "tests/billing_service/test_headers.py::test_any_other_mark_is_malformed",
            "tests/billing_service/test_forgetting.py::test_the_announced_mark_is_acted_upon",
        ),
        "`Request-Timeout: 2.0`": (
            "tests/billing_service/test_headers.py::test_the_timeout_is_a_number_of_seconds",
            "tests/billing_service/test_headers.py::test_any_other_timeout_is_malformed",
            "tests/billing_service/test_caller_deadline.py::test_a_charge_whose_caller_has_stopped_waiting_is_not_begun",
        ),
        "| 201 |": (
            "tests/billing_service/test_charges.py::test_the_same_key_again",
            "tests/billing_service/test_fast_path.py::test_a_new_key",
        ),
        "`insufficient-funds`": ("tests/billing_service/test_charges.py::test_a_decline_is_final",),
        "`Idempotency-Replayed: ?1`": (
            "tests/billing_service/test_charges.py::test_the_same_key_again",
        ),
        "`key-missing`": (
            "tests/billing_service/test_bad_input.py::test_a_bad_key",
            "tests/billing_service/test_bad_input.py::test_a_bad_body",
            "tests/billing_service/test_headers.py::test_no_key_is_missing",
        ),
        "`token-wrong`": (
            "tests/billing_service/test_bad_input.py::test_a_wrong_token",
            "tests/service_kit/bearer_tokens/test_clients.py::test_any_other_header_names_no_client",
        ),
        "`origin-foreign`": ("tests/test_borders.py::test_a_foreign_page",),
        "`account-unknown`": (
            "tests/billing_service/test_charges.py::test_an_unknown_account_spends_no_key",
        ),
        "`key-in-flight`": (
            "tests/billing_service/test_charges.py::test_a_key_that_is_held_is_in_flight",
            "tests/billing_service/test_group_commit.py::test_a_key_that_stays_held",
        ),
        "`key-forgotten`": (
            "tests/billing_service/test_charges.py::test_a_key_below_the_mark_is_forgotten",
            "tests/billing_service/test_collector.py::test_a_key_that_is_refused_for_ever",
        ),
        "`key-voided`": (
            "tests/billing_service/test_voiding.py::test_a_voided_key_is_never_executed",
        ),
        "`body-too-large`": (
            "tests/billing_service/test_bad_input.py::test_a_body_over_the_limit",
            "tests/billing_service/test_bad_input.py::test_a_body_at_the_limit",
        ),
        "`media-type-unsupported`": (
            "tests/test_input.py::test_another_content_type",
            "tests/test_input.py::test_a_content_coding",
        ),
        "`host-unknown`": ("tests/test_borders.py::test_a_foreign_name",),
        "`key-reused`": (
            "tests/billing_service/test_charges.py::test_the_same_key_with_another_payload",
        ),
        "`mark-leap`": ("tests/billing_service/test_collector.py::test_a_leap_ends_no_client",),
        "`validation`": ("tests/billing_service/test_bad_input.py::test_a_bad_body",),
        "`overloaded`": (
            "tests/billing_service/test_group_commit.py::test_held_accounts_fill_their_shares_of_the_queue",
            "tests/billing_service/test_admission.py::test_shares",
        ),
        "`deadline-passed`": (
            "tests/billing_service/test_caller_deadline.py::test_a_charge_whose_caller_has_stopped_waiting_is_not_begun",
        ),
        "`unavailable`": (
            "tests/billing_service/test_charges.py::test_an_account_that_is_held_is_unavailable",
            "tests/billing_service/test_database_trouble.py::test_no_database_at_all",
            "tests/billing_service/test_fast_path.py::test_an_ambiguous_commit",
        ),
        "`request-malformed`": (
            "tests/service_kit/http_guard/test_head.py::test_a_head_is_refused",
            "tests/service_kit/http_guard/test_services.py::test_a_length_of_thousands_of_digits",
        ),
        "`request-incomplete`": (
            "tests/service_kit/http_guard/test_waiting.py::test_a_request_that_is_not_complete_in_time",
        ),
        "`target-too-long`": ("tests/service_kit/http_guard/test_head.py::test_a_head_is_refused",),
        "`head-too-large`": (
            "tests/service_kit/http_guard/test_head.py::test_a_head_is_refused",
            "tests/service_kit/http_guard/test_body.py::test_what_surrounds_a_body_is_bounded",
            "tests/service_kit/http_guard/test_services.py::test_a_head_that_is_too_large",
        ),
        "`not-implemented`": ("tests/service_kit/http_guard/test_head.py::test_a_head_is_refused",),
        "`too-many-connections`": (
            "tests/service_kit/http_guard/test_waiting.py::test_when_all_are_being_served",
        ),
        "`http-version-unknown`": (
            "tests/service_kit/http_guard/test_head.py::test_a_head_is_refused",
            "tests/service_kit/http_guard/test_head.py::test_http_0_9",
        ),
    },
    "The receiver's half": {
        "lock the client": (
            "tests/billing_service/test_single_transaction.py::test_a_mark_that_moves_while_its_lock_is_waited_for",
            "tests/billing_service/test_single_transaction.py::test_the_client_stays_locked_until_the_commit",
            "tests/billing_service/test_charges.py::test_a_key_below_the_mark_is_forgotten",
        ),
        "ON CONFLICT DO NOTHING": (
            "tests/billing_service/test_charges.py::test_fifty_at_once_with_the_first_one_slow",
            "tests/billing_service/test_charges.py::test_a_key_that_is_held_is_in_flight",
            "tests/chaos/test_replicas.py::test_duplicates_on_two_replicas_of_billing",
        ),
        "lock the account": (
            "tests/billing_service/test_single_transaction.py::test_two_replicas_charge_one_account",
            "tests/billing_service/test_single_transaction.py::test_an_account_that_another_transaction_has_charged",
            "tests/billing_service/test_charges.py::test_concurrent_charges_of_one_account",
        ),
        "compare fingerprints": (
            "tests/billing_service/test_charges.py::test_the_same_key_again",
            "tests/billing_service/test_charges.py::test_the_same_key_with_another_payload",
            "tests/billing_service/test_charges.py::test_every_field_of_a_charge_is_told_apart",
        ),
        "only then answer": (
            "tests/billing_service/test_database_trouble.py::test_a_crash_of_postgres",
            "tests/billing_service/test_mistakes_of_others.py::test_4_there_is_no_ghost_success",
        ),
        "| no | new |": ("tests/billing_service/test_charges.py::test_the_diagnosis_is_counted",),
        "| yes | new |": ("tests/billing_service/test_charges.py::test_the_diagnosis_is_counted",),
        "| yes | known |": (
            "tests/billing_service/test_charges.py::test_the_diagnosis_is_counted",
        ),
        "| no | known |": ("tests/billing_service/test_charges.py::test_the_diagnosis_is_counted",),
    },
    "Group commit": {
        "the lock of each client (shared) and of each key": (
            "tests/billing_service/test_fast_path.py::test_what_is_held_elsewhere",
        ),
        "reads marks, stored answers and balances": (
            "tests/billing_service/test_fast_path.py::test_a_mark_that_moves_before_the_lock_is_granted",
            "tests/billing_service/test_fast_path.py::test_the_race_with_the_collector",
            "tests/billing_service/test_fast_path.py::test_the_race_without_the_locks",
        ),
        "in the order of arrival": (
            "tests/billing_service/test_fast_path.py::test_a_new_key",
            "tests/billing_service/test_group_commit.py::test_an_overdraft_is_judged_in_the_order_of_arrival",
        ),
        "The unique index decides": (
            "tests/billing_service/test_fast_path.py::test_the_index_decides",
            "tests/billing_service/test_fast_path.py::test_a_key_that_is_inserted_unannounced",
        ),
        "Another batch of this process": (
            "tests/billing_service/test_group_commit.py::test_two_batches_at_once_share_no_account",
            "tests/billing_service/test_group_commit.py::test_late_batches_hold_no_other_up",
            "tests/billing_service/test_group_commit.py::test_a_concurrent_charges_is_halved",
        ),
        "A twin:": (
            "tests/billing_service/test_group_commit.py::test_twins",
            "tests/billing_service/test_group_commit.py::test_twins_of_one_that_spent_nothing",
        ),
        "An account or a client": (
            "tests/billing_service/test_group_commit.py::test_an_account_that_is_held_elsewhere",
            "tests/billing_service/test_group_commit.py::test_a_client_whose_mark_is_being_moved",
            "tests/billing_service/test_group_commit.py::test_more_held_accounts_than_connections_to_wait_on",
        ),
        "A key that another transaction": (
            "tests/billing_service/test_group_commit.py::test_a_key_that_is_held_elsewhere",
        ),
    },
    "The caller's half": {
        "its first attempt": (
            "tests/order_service/test_orders.py::test_an_attempt_is_committed_before_it_is_sent",
            "tests/order_service/test_orders.py::test_the_database_of_orders_is_away",
        ),
        "locked counter row": (
            "tests/order_service/test_orders.py::test_keys_are_gap_free",
            "tests/order_service/test_writing.py::test_two_replicas_record_the_same_customers_keys",
        ),
        "one hard deadline": (
            "tests/order_service/test_peers.py::test_a_slow_drip_ends_at_the_deadline",
            "tests/order_service/test_peers.py::test_a_silent_peer_ends_at_the_deadline",
            "tests/order_service/test_peers.py::test_a_closed_port_is_refused",
            "tests/order_service/test_peers.py::test_a_closed_connection_is_unknown",
        ),
        "full jitter": (
            "tests/order_service/test_delivery.py::test_exactly_once_keeps_its_key_and_raises_the_flag",
            "tests/order_service/test_attempts.py::test_every_attempt_without_an_answer_is_followed_by_a_pause",
            "tests/order_service/test_attempts.py::test_the_peers_wish_is_honoured",
            "tests/order_service/test_orders.py::test_pauses_are_drawn_by_chance",
        ),
        "FOR UPDATE SKIP LOCKED": (
            "tests/order_service/test_orders.py::test_an_order_of_a_dead_process_is_taken_over",
            "tests/order_service/test_orders.py::test_a_living_lease_is_respected",
            "tests/order_service/test_dispatcher.py::test_a_taken_over_order_is_sent_as_a_retry",
        ),
        "status = 'pending'": (
            "tests/order_service/test_orders.py::test_settling_happens_once",
            "tests/order_service/test_orders.py::test_a_notification_is_never_sent_twice",
            "tests/order_service/test_settlement.py::test_a_second_settlement_sends_no_notification",
            "tests/order_service/test_settlement.py::test_the_customer_does_not_wait_for_the_notification",
        ),
        "believes only documented answers": (
            "tests/order_service/test_answers.py::test_an_undocumented_success",
            "tests/order_service/test_answers.py::test_an_undocumented_refusal",
            "tests/order_service/test_answers.py::test_an_answer_to_another_charge",
            "tests/order_service/test_restored.py::test_a_gateway_answers_for_billing",
        ),
    },
    "Which answers count": {
        "| `POST /charges` |": (
            "tests/order_service/test_answers.py::test_a_charge_that_is_named",
            "tests/order_service/test_answers.py::test_a_201_that_is_not_whole",
            "tests/order_service/test_answers.py::test_a_402_that_is_not_whole",
            "tests/order_service/test_answers.py::test_an_answer_to_another_charge",
            "tests/order_service/test_answers.py::test_a_refusal_of_billing",
            "tests/order_service/test_answers.py::test_what_billing_cannot_answer_yet",
        ),
        "| `DELETE /charges/{sequence_key}` |": (
            "tests/order_service/test_answers.py::test_a_voided_key",
            "tests/order_service/test_answers.py::test_an_executed_key",
            "tests/order_service/test_answers.py::test_a_key_that_was_executed_for_another_order",
            "tests/order_service/test_answers.py::test_a_key_that_cannot_be_voided",
        ),
        "| `DELETE /charges?below=` |": (
            "tests/order_service/test_answers.py::test_a_mark_that_was_heard",
            "tests/order_service/test_dispatcher.py::test_the_mark_is_declared_in_quiet_hours",
        ),
        "| `POST /notifications` |": (
            "tests/order_service/test_answers.py::test_a_notification_that_was_shown",
            "tests/order_service/test_restored.py::test_a_gateway_answers_for_notification",
        ),
        "to the first attempt": (
            "tests/order_service/test_restored.py::test_the_key_of_another_order",
            "tests/order_service/test_cancel.py::test_a_restored_caller_meets_keys_of_other_orders",
        ),
        "or any other refusal": (
            "tests/order_service/test_delivery.py::test_a_refusal_after_a_lost_attempt_is_made_sure_of",
            "tests/order_service/test_delivery.py::test_a_refusal_after_a_takeover_is_made_sure_of",
            "tests/order_service/test_cancel.py::test_a_delayed_original_after_a_refusal",
            "tests/order_service/test_cancel.py::test_a_copy_of_a_refused_attempt",
        ),
        "for this very charge": (
            "tests/order_service/test_answers.py::test_an_executed_key",
            "tests/order_service/test_attempts.py::test_an_executed_key_that_billing_calls_reused",
        ),
        "a key is executed once": (
            "tests/order_service/test_answers.py::test_a_key_that_was_executed_for_another_order",
            "tests/order_service/test_restored.py::test_the_key_of_another_order",
        ),
        "with another account or amount": (
            "tests/order_service/test_answers.py::test_a_key_that_was_executed_otherwise",
            "tests/order_service/test_restored.py::test_an_order_that_was_charged_otherwise",
        ),
        "of an older release that named no order": (
            "tests/order_service/test_attempts.py::test_a_decline_that_names_no_order",
            "tests/order_service/test_restored.py::test_the_key_of_another_order_of_an_older_release",
        ),
        "or after a takeover": (
            "tests/order_service/test_settlement.py::test_a_forgotten_key_after_other_attempts",
            "tests/order_service/test_settlement.py::test_a_forgotten_key_after_a_takeover",
            "tests/order_service/test_cancel.py::test_a_restored_order_that_billing_has_forgotten",
        ),
        "and no earlier attempt can have arrived": (
            "tests/order_service/test_settlement.py::test_a_forgotten_key_after_other_attempts",
            "tests/order_service/test_cancel.py::test_a_restored_caller_meets_forgotten_keys",
        ),
        "to `POST /charges` for another charge": (
            "tests/order_service/test_answers.py::test_an_answer_to_another_charge",
            "tests/order_service/test_attempts.py::test_an_answer_to_another_charge_is_an_alarm",
        ),
    },
    "Definite answers": {
        "With a synchronous standby": (
            "tests/billing_service/test_seal.py::test_what_another_transaction_committed",
            "tests/order_service/test_seal.py::test_a_settled_order",
            "tests/chaos/test_planted.py::test_a_planted_bug_is_caught",
        ),
        "`GET /charges/{sequence_key}`": (
            "tests/billing_service/test_charges.py::test_what_a_key_did",
        ),
        "*voids* a key": (
            "tests/billing_service/test_voiding.py::test_a_voided_key_is_never_executed",
            "tests/billing_service/test_voiding.py::test_an_executed_key_cannot_be_voided",
            "tests/billing_service/test_stored_answers.py::test_what_a_key_did_names_its_order",
        ),
        "`Idempotency-Replayed: ?1`": (
            "tests/order_service/test_orders.py::test_a_customer_retries",
            "tests/order_service/test_orders.py::test_a_customer_retries_at_once",
        ),
        "`POST /orders/{id}/cancel`": (
            "tests/order_service/test_cancel.py::test_a_pending_order_is_cancelled",
            "tests/order_service/test_cancel.py::test_an_order_that_was_billed_without_our_knowledge",
            "tests/order_service/test_cancel.py::test_billing_is_away",
        ),
        "A refusal after an attempt without an answer": (
            "tests/order_service/test_delivery.py::test_a_refusal_after_a_lost_attempt_is_made_sure_of",
            "tests/order_service/test_cancel.py::test_a_delayed_original_after_a_refusal",
            "tests/order_service/test_cancel.py::test_a_copy_of_a_refused_attempt",
        ),
        "restored or cloned": (
            "tests/order_service/test_cancel.py::test_a_restored_caller_meets_keys_of_other_orders",
            "tests/order_service/test_cancel.py::test_a_restored_caller_meets_forgotten_keys",
            "tests/order_service/test_restored.py::test_the_key_of_another_order",
        ),
    },
    "Load": {
        "full jitter": (
            "tests/order_service/test_backoff.py::test_no_pause_is_longer_than_its_cap",
            "tests/order_service/test_backoff.py::test_the_peers_wish_is_the_least",
            "tests/order_service/test_orders.py::test_pauses_are_drawn_by_chance",
            "tests/order_service/test_orders.py::test_billing_asks_for_a_pause",
        ),
        "token of a bucket": (
            "tests/order_service/test_retry_budget.py::test_the_burst_is_free_and_then_it_trickles",
            "tests/order_service/test_retry_budget.py::test_a_long_queue_is_drained_at_the_speed_of_answers",
            "tests/order_service/test_orders.py::test_a_refused_connection_is_retried_within_the_budget",
        ),
        "`window-full`": (
            "tests/order_service/test_cancel.py::test_the_window_of_unsettled_orders",
            "tests/order_service/test_writing.py::test_the_window_is_kept_within_a_group",
        ),
        "`Request-Timeout: 2.0`": (
            "tests/billing_service/test_caller_deadline.py::test_a_charge_whose_caller_has_stopped_waiting_is_not_begun",
        ),
    },
}
