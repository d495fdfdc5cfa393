"""What docs/parity.md says is shown by tests: which test shows which row."""

from __future__ import annotations

import re
from pathlib import Path

TOP = Path(__file__).parent.parent
ROWS = re.findall(r"^\| ([TBNZP]\d+) \|", (TOP / "docs" / "parity.md").read_text(encoding="utf-8"), re.MULTILINE)
COUNTS = {"T": 28, "B": 18, "N": 9, "Z": 7, "P": 10}
"""How many features each system has, and how many programs they were made for."""

SHOWN_BY = {
    "T1": "test_session.py::test_a_turn_gives_words_sound_usage_and_the_time_to_the_first_sound",
    "T2": "test_protocol_client_events.py::test_a_conducted_session_turns_detection_off_by_saying_null",
    "T3": "test_protocol_endpoints.py::test_every_endpoint_says_where_its_facts_come_from",
    "T4": "test_session_life.py::test_what_is_missing_is_named",
    "T5": "test_session.py::test_the_prompter_the_user_and_the_assistant_put_items_into_the_conversation",
    "T6": "test_session.py::test_nothing_cannot_be_said_or_heard",
    "T7": "test_session_live.py::test_push_to_talk",
    "T8": "test_session_live.py::test_a_response_is_cancelled_and_what_it_came_to_is_given",
    "T9": "test_session_live.py::test_items_are_retrieved_truncated_and_deleted",
    "T10": "test_session_word.py::test_a_response_knows_its_times",
    "T11": "test_session.py::test_responses_at_once_do_not_mix_even_where_metadata_is_not_echoed",
    "T12": "test_audio_pcm.py::test_a_span_is_what_a_list_of_samples_would_give",
    "T13": "test_session_live.py::test_every_event_and_every_response_can_be_watched",
    "T14": "test_cost.py::test_four_models_by_hand",
    "T15": "test_session.py::test_a_closed_session_stays_closed_and_its_socket_is_closed_in_order",
    "T16": "test_session_word.py::test_one_can_wait_until_a_listener_has_heard_all",
    "T17": "test_protocol_conversation.py::test_sound_survives_any_cutting_and_only_whole_samples_are_given",
    "T18": "test_docs.py::test_each_block_runs",
    "T19": "test_session_word.py::test_what_is_sent_can_be_watched",
    "T20": "test_booth.py::test_a_page_types_and_speaks_to_one_session",
    "T21": "test_booth.py::test_a_session_is_shown_from_its_first_event",
    "T22": "test_cli_understudy.py::test_the_ready_file_holds_the_address_while_it_listens",
    "T23": "test_booth_page.py::test_the_microphone_reaches_the_chosen_session_and_no_other",
    "T24": "test_session_life.py::test_after_a_drop_it_is_opened_again_and_told_what_was_said",
    "T25": "test_understudy_server.py::test_one_response_at_a_time_but_others_beside_it",
    "T26": "test_docs.py::test_each_block_runs",
    "T27": "test_session_life.py::test_it_moves_to_a_new_socket_before_its_time_is_up_and_between_turns",
    "T28": "test_stage_fan_out.py::test_who_speaks_next_hears_first_and_then_all_others",
    "B1": "test_session.py::test_create_session_dials_by_url_with_a_key",
    "B2": "test_protocol_requests.py::test_every_request_knows_its_answer_and_its_refusal",
    "B3": "test_session_live.py::test_an_event_that_came_just_before_is_found",
    "B4": "test_session_live.py::test_the_session_is_changed_while_it_is_open",
    "B5": "test_session_live.py::test_tools_are_told_to_the_model_and_can_be_changed",
    "B6": "test_session_live.py::test_calls_run_side_by_side_and_one_response_follows_all_outputs",
    "B7": "test_session_live.py::test_sound_comes_as_samples_bytes_base64_or_a_file",
    "B8": "test_session_live.py::test_push_to_talk",
    "B9": "test_session_live.py::test_who_interrupts_says_how_much_was_heard_and_the_rest_is_cut",
    "B10": "test_protocol_conversation.py::test_an_item_keeps_its_sound_and_a_truncated_one_what_was_heard_of_it",
    "B11": "test_session_live.py::test_a_response_is_streamed_to_its_end",
    "B12": "test_protocol_conversation.py::test_a_truncated_item_loses_its_transcript",
    "B13": "test_protocol_conversation.py::test_what_was_said_into_a_detected_turn_is_cut_from_the_input",
    "B14": "test_session_live.py::test_an_event_that_came_just_before_is_found",
    "B15": "test_protocol_conversation.py::test_events_that_are_not_known_are_counted_and_those_that_do_not_matter_pass",  # noqa: E501
    "B16": "test_session.py::test_a_closed_session_stays_closed_and_its_socket_is_closed_in_order",
    "B17": "test_audio_pcm.py::test_floats_are_scaled_and_clipped",
    "B18": "test_second_server.py::test_one_conversation_with_either",
    "N1": "test_session_life.py::test_a_key_may_be_a_function_and_then_travels_as_a_bearer_token",
    "N2": "test_protocol_server_events.py::test_a_frame_that_cannot_be_used_says_why",
    "N3": "test_session_live.py::test_an_event_that_came_just_before_is_found",
    "N4": "test_session.py::test_frames_that_are_no_events_are_left_out_and_told_once",
    "N5": "test_session_live.py::test_tools_are_told_to_the_model_and_can_be_changed",
    "N6": "test_cli_booth.py::test_a_conversation_is_had_in_the_page_until_it_is_interrupted",
    "N7": "test_session.py::test_create_session_dials_by_url_with_a_key",
    "N8": "test_session.py::test_a_closed_session_stays_closed_and_its_socket_is_closed_in_order",
    "N9": "test_docs.py::test_each_block_runs",
    "Z1": "test_protocol_endpoints.py::test_azure_dials_the_users_own_resource_with_the_deployment_as_model",
    "Z2": "test_session_live.py::test_every_event_and_every_response_can_be_watched",
    "Z3": "test_session_live.py::test_a_barge_in_cuts_what_was_not_heard_yet",
    "Z4": "test_session_live.py::test_every_event_and_every_response_can_be_watched",
    "Z5": "test_session_live.py::test_items_are_retrieved_truncated_and_deleted",
    "Z6": "test_session_life.py::test_it_comes_back_when_the_provider_does",
    "Z7": "test_understudy_live.py::test_telephone_sound_goes_both_ways",
    "P1": "test_scenes.py::test_a_simple_talk",
    "P2": "test_scenes.py::test_a_translator_between_a_recording_and_a_player",
    "P3": "test_scenes.py::test_a_monologue",
    "P4": "test_scenes.py::test_a_language_tutor_listens_until_goodbye",
    "P5": "test_scenes.py::test_a_household_assistant_whose_call_makes_a_second_voice_speak",
    "P6": "test_acceptance.py::test_the_stems_are_three_and_at_any_moment_one_player_sounds",
    "P7": "test_scenes.py::test_a_conversation_in_writing",
    "P8": "test_scenes.py::test_a_voice_assistant_whose_recordings_stand_in",
    "P9": "test_scenes.py::test_customer_service_says_what_its_tool_found",
    "P10": "test_scenes.py::test_captions_are_written_as_they_come",
}


def test_the_page_has_every_row_in_order() -> None:
    assert [f"{kind}{n}" for kind, last in COUNTS.items() for n in range(1, last + 1)] == ROWS


def test_every_row_is_shown_by_a_test_that_is_there() -> None:
    assert list(SHOWN_BY) == ROWS
    for file, name in (shown.split("::") for shown in SHOWN_BY.values()):
        assert f"def {name}(" in (TOP / "tests" / file).read_text(encoding="utf-8")
