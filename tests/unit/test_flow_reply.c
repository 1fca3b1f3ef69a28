/* Replies and dead letters: what stands in them, where they go, and what happens to those that do not fit. */
#include "tests/unit/flow_support.h"

#include <string.h>

static void flow_answer_has_all_reply_fields(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	struct record source = support_record();
	source.timestamp_ms = SUPPORT_WALL_MS - 70;
	source.offset = 5;
	support_take(&support, &source);
	support_pass(&support, 30);
	struct call *call = support_call(&support);
	support_pass(&support, 400);
	call->first_content_ms = call->started_ms + 250;
	support_answer(&support, call);
	struct chat_client_response reply = support_only_reply(&support);
	assert_text_equal(reply.request_id, "r-1");
	assert_text_equal(reply.conversation_id, "c");
	assert_text_equal(reply.outcome, "answered");
	assert_text_equal(reply.content, "Hello");
	assert_text_equal(reply.finish_reason, "stop");
	assert_text_equal(reply.model, "a/one-2026");
	assert_text_equal(reply.provider, "Someone");
	assert_text_equal(reply.generation_id, "gen-1");
	assert_false(bytes_is_given(reply.reason));
	assert_int_equal(reply.attempts, 1);
	assert_int_equal(reply.prompt_tokens, 3);
	assert_int_equal(reply.received_ms, SUPPORT_WALL_MS - 70);
	assert_int_equal(reply.replied_ms, SUPPORT_WALL_MS + 430);
	assert_int_equal(reply.upstream_ms, 400);
	assert_true(support_contains(reply.json, "\"waited_ms\":30,"));
	assert_true(support_contains(reply.json, "\"first_token_ms\":250}"));
	assert_true(support_contains(reply.json, "\"topic\":\"chat.requests\",\"partition\":0,\"offset\":5}"));
	support_close(&support);
}

static void flow_answer_without_first_token_time_has_null(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	support_chat_done(&support, 0, 0, "c");
	assert_true(support_contains(support_only_reply(&support).json, "\"first_token_ms\":null"));
	support_close(&support);
}

static void flow_answer_to_msgpack_is_msgpack(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	struct buffer value;
	buffer_init(&value, 1000);
	struct chat_client_request request = {
		.coding = CHAT_CODING_MSGPACK, .request_id = BYTES_LITERAL("m-1"), .text = BYTES_LITERAL("Hi")
	};
	assert_int_equal(chat_client_request_write(&request, &value), STATUS_OK);
	struct record source = support_record();
	source.value = buffer_bytes(&value);
	support_take(&support, &source);
	buffer_deinit(&value);
	support_answer(&support, support_call(&support));
	struct batch *batch = support_batch(&support);
	const struct outgoing *record = batch->items[0].record;
	assert_text_equal(support_header(record, "content-type"), "application/vnd.msgpack");
	assert_int_equal((unsigned char)record->value.data[0], 0x8d);
	struct chat_client_response reply = support_reply(&support, batch, 0);
	assert_text_equal(reply.request_id, "m-1");
	assert_text_equal(reply.content, "Hello");
	support_end_batch(&support, batch, BATCH_COMMITTED);
	support_close(&support);
}

static void flow_answer_to_json_is_json_in_its_headers(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	support_chat_done(&support, 0, 0, "c");
	struct batch *batch = support_batch(&support);
	const struct outgoing *record = batch->items[0].record;
	assert_text_equal(record->topic, "chat.responses");
	assert_text_equal(record->key, "c");
	assert_text_equal(support_header(record, "content-type"), "application/json");
	assert_text_equal(support_header(record, "chat-outcome"), "answered");
	assert_text_equal(support_header(record, "chat-attempts"), "1");
	assert_false(bytes_is_given(support_header(record, "chat-error")));
	support_end_batch(&support, batch, BATCH_COMMITTED);
	support_close(&support);
}

static void flow_reply_counts_requests_really_sent(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	support_take_chat(&support, 0, 0, "c");
	struct call *first = support_call(&support);
	first->requests_sent = 0; /* no connection came about */
	support_fail(&support, first, REASON_CONNECT, FAILURE_ACTION_SAME);
	support_pass(&support, 200);
	struct call *second = support_call(&support);
	second->requests_sent = 2; /* a connection that was dead already, and a new one */
	support_pass(&support, 70);
	support_answer(&support, second);
	struct chat_client_response reply = support_only_reply(&support);
	assert_int_equal(reply.attempts, 2);
	assert_int_equal(reply.upstream_ms, 70);
	support_close(&support);
}

static void flow_reply_adds_up_time_upstream(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	support_take_chat(&support, 0, 0, "c");
	struct call *first = support_call(&support);
	support_pass(&support, 100);
	support_fail(&support, first, REASON_OVERLOADED, FAILURE_ACTION_NEXT);
	struct call *second = support_call(&support);
	support_pass(&support, 40);
	support_answer(&support, second);
	assert_int_equal(support_only_reply(&support).upstream_ms, 140);
	support_close(&support);
}

static void flow_fallback_without_call_waited_until_its_reply(void **state)
{
	(void)state;
	struct support support;
	support_init(&support);
	support.options.in_flight_max = 1;
	support_begin(&support);
	support_take_chat(&support, 0, 0, "busy");
	struct call *call = support_call(&support);
	support_pass(&support, 1000);
	support_take_chat(&support, 0, 1, "c");
	support_answer(&support, call);
	call = support_call(&support);
	support_take_chat(&support, 0, 2, "d");
	support_pass(&support, 8700);
	/* The call of the second chat ended with it; the third one never had one. */
	struct batch *batch = support_batch(&support);
	assert_int_equal(batch->item_count, 3);
	struct chat_client_response reply = support_reply(&support, batch, 2);
	assert_text_equal(reply.reason, "deadline");
	assert_true(support_contains(reply.json, "\"waited_ms\":8700,\"upstream_ms\":null,\"first_token_ms\":null"));
	assert_int_equal(reply.attempts, 0);
	support_end_batch(&support, batch, BATCH_COMMITTED);
	(void)support_cancel(&support);
	support_answer(&support, call);
	support_close(&support);
}

static void flow_fallback_text_is_that_of_the_reason(void **state)
{
	(void)state;
	struct support support;
	support_init(&support);
	support.options.fallback_texts[REASON_REFUSED] = BYTES_LITERAL("No.");
	support_begin(&support);
	support_take_chat(&support, 0, 0, "c");
	support_fail(&support, support_call(&support), REASON_REFUSED, FAILURE_ACTION_END);
	struct chat_client_response reply = support_only_reply(&support);
	assert_text_equal(reply.outcome, "fallback");
	assert_text_equal(reply.content, "No.");
	assert_text_equal(reply.reason, "refused");
	support_close(&support);
}

static void flow_fallback_text_without_own_one_is_the_common_one(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	support_take_chat(&support, 0, 0, "c");
	support_fail(&support, support_call(&support), REASON_REFUSED, FAILURE_ACTION_END);
	assert_text_equal(support_only_reply(&support).content, "Later, please.");
	support_close(&support);
}

static void flow_fallback_tells_the_http_status(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	support_take_chat(&support, 0, 0, "c");
	support_fail_wait(&support, support_call(&support), 60000);
	support_fail_wait(&support, support_call(&support), 60000);
	struct chat_client_response reply = support_only_reply(&support);
	assert_text_equal(reply.reason, "rate_limited");
	assert_int_equal(reply.http_status, 429);
	assert_true(support_contains(reply.json, "\"retryable\":true"));
	support_close(&support);
}

/* Rejections of every kind: value, content type, reason, detail that names the rule. */
struct rejected_case {
	const char *value; /* NULL = a null value */
	const char *content_type;
	const char *reason;
};

static const struct rejected_case rejected_cases[] = {
	{ NULL, NULL, "decode" },
	{ "", NULL, "decode" },
	{ "{\"request_id\":", NULL, "decode" },
	{ "\xc1", NULL, "decode" },
	{ "{\"request_id\":\"r\"}", NULL, "schema" },
	{ "{\"request_id\":7,\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}", NULL, "schema" },
	{ "{\"request_id\":\"r\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}", NULL,
		"bad_request" },
	{ "<xml/>", "text/xml", "unsupported_media_type" },
	{ "{\"request_id\":\"r\",\"model\":\"z/no\",\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}", NULL,
		"model_not_allowed" },
};

static void assert_rejected(const struct rejected_case *at)
{
	struct support support;
	support_init(&support);
	const struct bytes allowed = BYTES_LITERAL("?/[ot]*");
	const struct bytes globs[] = { allowed, BYTES_LITERAL("a/*"), BYTES_LITERAL("b/*") };
	support.options.allowed_models = globs;
	support.options.allowed_model_count = 3;
	support_begin(&support);
	struct record source = support_record();
	struct record_header headers[] = {
		{ BYTES_LITERAL("x-trace"), BYTES_LITERAL("one") },
		{ BYTES_LITERAL("x-trace"), BYTES_NONE },
		{ BYTES_LITERAL("content-type"), bytes_of(at->content_type) },
	};
	source.headers = (struct record_headers){ headers, at->content_type == NULL ? 2 : 3 };
	source.value = bytes_of(at->value);
	source.offset = 9;
	support_take(&support, &source);
	support_no_call(&support);

	struct batch *batch = support_batch(&support);
	assert_int_equal(batch->item_count, 2);
	struct chat_client_response reply = support_reply(&support, batch, 0);
	assert_text_equal(reply.outcome, "rejected");
	assert_text_equal(reply.reason, at->reason);
	assert_int_equal(reply.attempts, 0);
	assert_text_equal(support_header(batch->items[0].record, "chat-error"), at->reason);
	const struct outgoing *letter = batch->items[1].record;
	assert_true(letter->is_dead_letter);
	assert_text_equal(letter->topic, "chat.requests.dlq");
	assert_bytes_equal(letter->value, source.value);
	assert_bytes_equal(letter->key, source.key);
	assert_int_equal(letter->timestamp_ms, source.timestamp_ms);
	assert_text_equal(letter->headers.items[0].value, "one");
	assert_false(bytes_is_given(letter->headers.items[1].value));
	assert_text_equal(support_header(letter, "dlq-reason"), at->reason);
	assert_text_equal(support_header(letter, "dlq-original-topic"), "chat.requests");
	assert_text_equal(support_header(letter, "dlq-original-offset"), "9");
	assert_text_equal(support_header(letter, "dlq-consumer-group"), "chat-worker");
	assert_text_equal(support_header(letter, "dlq-worker-version"), "1.2.3");
	assert_text_equal(support_header(letter, "dlq-attempts"), "0");
	assert_true(support_header(letter, "dlq-message").size > 0);
	support_end_batch(&support, batch, BATCH_COMMITTED);
	support_close(&support);
}

static void flow_rejected_has_reply_and_dead_letter_with_the_original_bytes(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rejected_cases) / sizeof(rejected_cases[0]); i++)
		assert_rejected(&rejected_cases[i]);
}

static void flow_rejected_beyond_the_record_limit_is_too_large(void **state)
{
	(void)state;
	struct support support;
	support_init(&support);
	support.options.limits.record_bytes = 20;
	support_begin(&support);
	support_take_chat(&support, 0, 0, "c");
	assert_text_equal(support_only_reply(&support).reason, "too_large");
	support_close(&support);
}

static void flow_rejected_by_the_upstream_has_its_dead_letter(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	support_take_chat(&support, 0, 0, "c");
	support_fail(&support, support_call(&support), REASON_BAD_REQUEST, FAILURE_ACTION_END);
	struct batch *batch = support_batch(&support);
	assert_int_equal(batch->item_count, 2);
	assert_text_equal(support_reply(&support, batch, 0).outcome, "rejected");
	assert_text_equal(support_header(batch->items[1].record, "dlq-attempts"), "1");
	support_end_batch(&support, batch, BATCH_COMMITTED);
	support_close(&support);
}

static void flow_rejected_without_dead_letters_configured_has_none(void **state)
{
	(void)state;
	struct support support;
	support_init(&support);
	support.options.dead_letter_on_rejected = false;
	support_begin(&support);
	support_take_bad(&support, 0, 0, "c");
	struct batch *batch = support_batch(&support);
	assert_int_equal(batch->item_count, 1);
	support_end_batch(&support, batch, BATCH_COMMITTED);
	support_close(&support);
}

static void flow_fallback_with_dead_letters_configured_has_one(void **state)
{
	(void)state;
	struct support support;
	support_init(&support);
	support.options.dead_letter_on_fallback = true;
	support_begin(&support);
	support_take_chat(&support, 0, 0, "c");
	support_fail(&support, support_call(&support), REASON_REFUSED, FAILURE_ACTION_END);
	struct batch *batch = support_batch(&support);
	assert_int_equal(batch->item_count, 2);
	assert_text_equal(support_header(batch->items[1].record, "dlq-reason"), "refused");
	support_end_batch(&support, batch, BATCH_COMMITTED);
	support_close(&support);
}

static void flow_reply_key_of_unreadable_request_is_the_record_key(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	struct record source = support_record();
	source.key = BYTES_LITERAL("\xff\xfe key");
	source.value = BYTES_LITERAL("junk");
	support_take(&support, &source);
	struct batch *batch = support_batch(&support);
	assert_bytes_equal(batch->items[0].record->key, source.key);
	assert_false(bytes_is_given(support_reply(&support, batch, 0).conversation_id));
	support_end_batch(&support, batch, BATCH_COMMITTED);
	support_close(&support);
}

/* The topic of the reply to a request with this header. */
static void assert_reply_topic(const char *name, const char *wanted, const char *topic, long refused)
{
	static const struct bytes topics[] = { { "team.replies", 12 }, { "other", 5 } };
	struct support support;
	support_init(&support);
	support.options.reply_topics = topics;
	support.options.reply_topic_count = 2;
	support_begin(&support);
	struct record source = support_record();
	struct record_header header = { bytes_of(name), bytes_of(wanted) };
	source.headers = (struct record_headers){ &header, 1 };
	support_take(&support, &source);
	support_answer(&support, support_call(&support));
	struct batch *batch = support_batch(&support);
	assert_text_equal(batch->items[0].record->topic, topic);
	assert_int_equal(support.notices[FLOW_NOTICE_REPLY_TO_REFUSED], refused);
	support_end_batch(&support, batch, BATCH_COMMITTED);
	support_close(&support);
}

static void flow_reply_to_on_the_list_is_honoured(void **state)
{
	(void)state;
	assert_reply_topic("reply-to", "team.replies", "team.replies", 0);
	assert_reply_topic("kafka_replyTopic", "other", "other", 0);
}

static void flow_reply_to_off_the_list_is_noticed(void **state)
{
	(void)state;
	assert_reply_topic("reply-to", "team.repliess", "chat.responses", 1);
	assert_reply_topic("reply-to", "", "chat.responses", 1);
}

static void flow_reply_to_the_default_topic_is_no_refusal(void **state)
{
	(void)state;
	assert_reply_topic("reply-to", "chat.responses", "chat.responses", 0);
	assert_reply_topic("another", "team.replies", "chat.responses", 0);
}

static void flow_answer_larger_than_a_reply_is_reply_too_large(void **state)
{
	(void)state;
	struct support support;
	support_init(&support);
	support.options.reply_bytes_max = 1000;
	support_begin(&support);
	support_take_chat(&support, 0, 0, "c");
	struct call *call = support_call(&support);
	static char text[2000];
	memset(text, 'x', sizeof(text));
	call->ended_ms = support.now.mono_ms;
	call->result.answer.content = bytes_at(text, sizeof(text));
	flow_call_done(support.flow, call, support.now);
	struct chat_client_response reply = support_only_reply(&support);
	assert_text_equal(reply.outcome, "fallback");
	assert_text_equal(reply.reason, "reply_too_large");
	assert_text_equal(reply.content, "Later, please.");
	assert_int_equal(reply.attempts, 1);
	support_close(&support);
}

static void flow_rejected_whose_reply_is_too_large_keeps_its_dead_letter(void **state)
{
	(void)state;
	struct support support;
	support_init(&support);
	static char text[2000];
	memset(text, 'x', sizeof(text));
	support.options.reply_bytes_max = 1000;
	support.options.fallback_texts[REASON_DECODE] = bytes_at(text, sizeof(text));
	support_begin(&support);
	support_take_bad(&support, 0, 0, "c");
	struct batch *batch = support_batch(&support);
	assert_int_equal(batch->item_count, 2);
	assert_text_equal(support_reply(&support, batch, 0).reason, "reply_too_large");
	assert_text_equal(batch->items[1].record->value, "{\"request_id\":\"r-1\"");
	support_end_batch(&support, batch, BATCH_COMMITTED);
	support_close(&support);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flow_answer_has_all_reply_fields),
		cmocka_unit_test(flow_answer_without_first_token_time_has_null),
		cmocka_unit_test(flow_answer_to_msgpack_is_msgpack),
		cmocka_unit_test(flow_answer_to_json_is_json_in_its_headers),
		cmocka_unit_test(flow_reply_counts_requests_really_sent),
		cmocka_unit_test(flow_reply_adds_up_time_upstream),
		cmocka_unit_test(flow_fallback_without_call_waited_until_its_reply),
		cmocka_unit_test(flow_fallback_text_is_that_of_the_reason),
		cmocka_unit_test(flow_fallback_text_without_own_one_is_the_common_one),
		cmocka_unit_test(flow_fallback_tells_the_http_status),
		cmocka_unit_test(flow_rejected_has_reply_and_dead_letter_with_the_original_bytes),
		cmocka_unit_test(flow_rejected_beyond_the_record_limit_is_too_large),
		cmocka_unit_test(flow_rejected_by_the_upstream_has_its_dead_letter),
		cmocka_unit_test(flow_rejected_without_dead_letters_configured_has_none),
		cmocka_unit_test(flow_fallback_with_dead_letters_configured_has_one),
		cmocka_unit_test(flow_reply_key_of_unreadable_request_is_the_record_key),
		cmocka_unit_test(flow_reply_to_on_the_list_is_honoured),
		cmocka_unit_test(flow_reply_to_off_the_list_is_noticed),
		cmocka_unit_test(flow_reply_to_the_default_topic_is_no_refusal),
		cmocka_unit_test(flow_answer_larger_than_a_reply_is_reply_too_large),
		cmocka_unit_test(flow_rejected_whose_reply_is_too_large_keeps_its_dead_letter),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
