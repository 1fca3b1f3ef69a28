/* The upstream pool without a server: what it refuses, its bounds, and that nothing is lost on the way. The integration
 * tests meet it with servers. */
#include <arpa/inet.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/clock.h"
#include "tests/unit/no_descriptors.h"
#include "worker/edge/upstream.h"
#include "worker/edge/upstream_end.h"

enum { ARENA_SIZE = 1 << 20, BODY_MAX = 1 << 20, PORT_TEXT_SIZE = 64, LONG_MS = 60000, DESCRIPTORS_MAX = 64 };

/* A port of this host that accepts connections in the kernel and never answers. */
struct silence {
	int fd;
	char url[PORT_TEXT_SIZE];
};

static void silence_open(struct silence *silence)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(address);
	silence->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(silence->fd >= 0);
	assert_int_equal(bind(silence->fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(silence->fd, 128), 0);
	assert_int_equal(getsockname(silence->fd, (struct sockaddr *)&address, &size), 0);
	snprintf(silence->url, sizeof(silence->url), "http://127.0.0.1:%d/v1", ntohs(address.sin_port));
}

static struct upstream_options options_for(const char *url)
{
	return (struct upstream_options){ .base_url = url,
		.bearer = "sk-or-test",
		.threads = 2,
		.in_flight_max = 4,
		.streams_per_connection = 16,
		.connect_timeout_ms = 1000,
		.limits = { .body_bytes = 1 << 20, .event_bytes = 1 << 20, .depth = 32 } };
}

static struct upstream *start(const char *url)
{
	struct upstream_options options = options_for(url);
	struct upstream *upstream = NULL;
	assert_int_equal(upstream_start(&options, &upstream), STATUS_OK);
	return upstream;
}

static struct call *make_call(uint64_t id, int64_t within_ms)
{
	struct call *call = call_new(id, BODY_MAX, ARENA_SIZE);
	assert_non_null(call);
	buffer_append_text(&call->body, "{}");
	call->deadline_ms = clock_now().mono_ms + within_ms;
	call->first_content_due_ms = call->deadline_ms;
	call->stall_ms = LONG_MS;
	return call;
}

static struct call *take_one(struct upstream *upstream)
{
	struct pollfd wait = { .fd = upstream_fd(upstream), .events = POLLIN };
	struct upstream_event event = { .call = NULL };
	while (upstream_take(upstream, &event, 1) == 0)
		assert_int_equal(poll(&wait, 1, LONG_MS), 1);
	assert_non_null(event.call);
	assert_int_equal(event.call->id, event.id);
	return event.call;
}

static void assert_refused(const struct upstream_options *options)
{
	struct upstream *upstream = NULL;
	assert_int_equal(upstream_start(options, &upstream), STATUS_INVALID);
	assert_null(upstream);
}

static void start_url_that_could_betray_the_key_refused(void **state)
{
	(void)state;
	const char *urls[] = { "http://a:b@127.0.0.1/v1", "http://example.org/v1", "ftp://127.0.0.1/v1", "127.0.0.1",
		"", "http://127.0.0.1/v1?a=b", "http://127.0.0.1/v1#a", "https://us er@host/" };
	for (size_t i = 0; i < sizeof(urls) / sizeof(*urls); i++) {
		struct upstream_options options = options_for(urls[i]);
		assert_refused(&options);
	}
}

static void start_plain_http_to_another_host_with_leave_taken(void **state)
{
	(void)state;
	struct upstream_options options = options_for("http://example.org/v1");
	options.insecure_http = true;
	struct upstream *upstream = NULL;
	assert_int_equal(upstream_start(&options, &upstream), STATUS_OK);
	upstream_stop(upstream);
}

static void start_header_text_with_control_characters_refused(void **state)
{
	(void)state;
	struct upstream_options options = options_for("http://127.0.0.1/v1");
	options.app_title = "a\nb";
	assert_refused(&options);
	options = options_for("http://127.0.0.1/v1");
	options.app_url = "http://a\r\nb";
	assert_refused(&options);
	const char *keys[] = { NULL, "", "a b", "a\n", "a\x7f", "a\xc3\xa4" };
	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
		options = options_for("http://127.0.0.1/v1");
		options.bearer = keys[i];
		assert_refused(&options);
	}
}

static void start_authorities_missing_refused(void **state)
{
	(void)state;
	struct upstream_options options = options_for("https://127.0.0.1/v1");
	options.ca_file = "/dev/null";
	assert_refused(&options);
}

/* So many of this process are open. */
static int open_descriptors(void)
{
	int count = 0;
	for (int fd = 0; fd < DESCRIPTORS_MAX; fd++)
		if (fcntl(fd, F_GETFD) >= 0) count++;
	return count;
}

/* With none left, then with one, …, until there are enough: each place that needs one says so, and gives back what it had. */
static void start_short_of_descriptors_told_and_nothing_kept(void **state)
{
	(void)state;
	struct upstream_options options = options_for("http://127.0.0.1:1/v1");
	upstream_stop(start(options.base_url)); /* what libraries open once and keep */
	int before = open_descriptors();
	enum status status = STATUS_IO;
	unsigned left = 0;
	for (; status != STATUS_OK && left < DESCRIPTORS_MAX; left++) {
		struct upstream *upstream = NULL;
		struct rlimit limit = leave_descriptors(left);
		status = upstream_start(&options, &upstream);
		allow_descriptors(limit);
		assert_int_equal(upstream != NULL, status == STATUS_OK);
		upstream_stop(upstream);
		assert_int_equal(open_descriptors(), before);
	}
	/* Two threads with a mailbox and an epoll each, and the mailbox of what is done. */
	assert_in_range(left, 5, DESCRIPTORS_MAX - 1);
}

static void stop_null_accepted(void **state)
{
	(void)state;
	upstream_stop(NULL);
}

static void stop_with_calls_in_every_place_frees_all(void **state)
{
	(void)state;
	struct silence silence;
	silence_open(&silence);
	struct upstream *upstream = start(silence.url);
	assert_int_equal(upstream_put(upstream, make_call(1, LONG_MS)), STATUS_OK);
	assert_int_equal(upstream_put(upstream, make_call(2, LONG_MS)), STATUS_OK);
	assert_int_equal(upstream_put(upstream, make_call(3, -1)), STATUS_OK);
	struct pollfd wait = { .fd = upstream_fd(upstream), .events = POLLIN };
	assert_int_equal(poll(&wait, 1, LONG_MS), 1);
	upstream_cancel(upstream, 1);
	assert_int_equal(upstream_put(upstream, make_call(4, LONG_MS)), STATUS_OK);
	upstream_stop(upstream);
	close(silence.fd);
}

static void put_beyond_the_bound_full_until_one_is_taken(void **state)
{
	(void)state;
	struct silence silence;
	silence_open(&silence);
	struct upstream *upstream = start(silence.url);
	for (uint64_t id = 1; id <= 4; id++)
		assert_int_equal(upstream_put(upstream, make_call(id, LONG_MS)), STATUS_OK);
	struct call *fifth = make_call(5, LONG_MS);
	assert_int_equal(upstream_put(upstream, fifth), STATUS_FULL);
	upstream_cancel(upstream, 3);
	struct call *third = take_one(upstream);
	assert_int_equal(third->id, 3);
	assert_int_equal(upstream_put(upstream, fifth), STATUS_OK);
	call_free(third);
	upstream_stop(upstream);
	close(silence.fd);
}

static void probes_beyond_their_bound_full_and_beside_the_calls(void **state)
{
	(void)state;
	struct silence silence;
	silence_open(&silence);
	struct upstream *upstream = start(silence.url);
	int64_t deadline_ms = clock_now().mono_ms + LONG_MS;
	enum status status = STATUS_OK;
	for (uint64_t id = 100; status == STATUS_OK; id++) {
		assert_true(id < 200);
		status = upstream_probe_key(upstream, id, deadline_ms);
	}
	assert_int_equal(status, STATUS_FULL);
	for (uint64_t id = 1; id <= 4; id++)
		assert_int_equal(upstream_put(upstream, make_call(id, LONG_MS)), STATUS_OK);
	upstream_cancel(upstream, 100);
	struct call *probe = take_one(upstream);
	assert_int_equal(probe->id, 100);
	call_free(probe);
	assert_int_equal(upstream_probe_key(upstream, 300, deadline_ms), STATUS_OK);
	upstream_stop(upstream);
	close(silence.fd);
}

static void cancel_of_unknown_ids_leaves_room_for_calls(void **state)
{
	(void)state;
	struct silence silence;
	silence_open(&silence);
	struct upstream *upstream = start(silence.url);
	for (uint64_t id = 1; id < 1000; id++)
		upstream_cancel(upstream, id);
	assert_int_equal(upstream_put(upstream, make_call(1000, LONG_MS)), STATUS_OK);
	struct upstream_event event;
	assert_int_equal(upstream_take(upstream, &event, 1), 0);
	upstream_stop(upstream);
	close(silence.fd);
}

static void deadline_past_timeout_without_a_request(void **state)
{
	(void)state;
	struct silence silence;
	silence_open(&silence);
	struct upstream *upstream = start(silence.url);
	assert_int_equal(upstream_put(upstream, make_call(1, 0)), STATUS_OK);
	struct call *call = take_one(upstream);
	assert_int_equal(call->result.failure.reason, REASON_TIMEOUT);
	assert_false(call->result.failure.maybe_sent);
	assert_int_equal(call->requests_sent, 0);
	assert_int_equal(call->first_content_ms, 0);
	call_free(call);
	upstream_stop(upstream);
	close(silence.fd);
}

static void first_content_clock_over_timeout_with_times(void **state)
{
	(void)state;
	struct silence silence;
	silence_open(&silence);
	struct upstream *upstream = start(silence.url);
	struct call *given = make_call(1, LONG_MS);
	given->first_content_due_ms = clock_now().mono_ms + 50;
	assert_int_equal(upstream_put(upstream, given), STATUS_OK);
	struct call *call = take_one(upstream);
	assert_ptr_equal(call, given);
	assert_int_equal(call->result.failure.reason, REASON_TIMEOUT);
	assert_true(call->result.failure.maybe_sent);
	assert_int_equal(call->requests_sent, 1);
	assert_true(call->started_ms > 0);
	assert_true(call->ended_ms >= call->first_content_due_ms);
	call_free(call);
	upstream_stop(upstream);
	close(silence.fd);
}

/* The head of the next request that arrives, on a connection that stays open. */
static int accept_request(const struct silence *silence, char out_head[static 4096])
{
	int fd = accept(silence->fd, NULL, NULL);
	assert_true(fd >= 0);
	size_t size = 0;
	for (out_head[0] = '\0'; strstr(out_head, "\r\n\r\n") == NULL; out_head[size] = '\0') {
		ssize_t got = recv(fd, out_head + size, 4095 - size, 0);
		assert_true(got > 0);
		size += (size_t)got;
	}
	return fd;
}

static void assert_next_request_carries(const struct silence *silence, const char *line)
{
	char head[4096];
	int fd = accept_request(silence, head);
	assert_non_null(strstr(head, line));
	/* Left open: the call waits on. */
	assert_true(fd > 0);
}

static void set_key_later_calls_carry_it_and_running_ones_go_on(void **state)
{
	(void)state;
	struct silence silence;
	silence_open(&silence);
	struct upstream *upstream = start(silence.url);
	assert_int_equal(upstream_put(upstream, make_call(1, LONG_MS)), STATUS_OK);
	assert_next_request_carries(&silence, "\r\nAuthorization: Bearer sk-or-test\r\n");
	assert_int_equal(upstream_set_key(upstream, BYTES_LITERAL("sk-or-second")), STATUS_OK);
	assert_int_equal(upstream_put(upstream, make_call(2, LONG_MS)), STATUS_OK);
	assert_next_request_carries(&silence, "\r\nAuthorization: Bearer sk-or-second\r\n");
	assert_int_equal(upstream_put(upstream, make_call(3, LONG_MS)), STATUS_OK);
	assert_next_request_carries(&silence, "\r\nAuthorization: Bearer sk-or-second\r\n");
	int64_t deadline_ms = clock_now().mono_ms + LONG_MS;
	assert_int_equal(upstream_probe_key(upstream, 100, deadline_ms), STATUS_OK);
	assert_next_request_carries(&silence, "GET /v1/key HTTP/1.1\r\n");
	struct upstream_event none;
	assert_int_equal(upstream_take(upstream, &none, 1), 0);
	/* A handle that carried the first key is used again with the second. */
	upstream_cancel(upstream, 1);
	struct call *first = take_one(upstream);
	assert_int_equal(first->id, 1);
	call_free(first);
	assert_int_equal(upstream_put(upstream, make_call(5, LONG_MS)), STATUS_OK);
	assert_next_request_carries(&silence, "\r\nAuthorization: Bearer sk-or-second\r\n");
	upstream_stop(upstream);
	close(silence.fd);
}

static void set_key_bad_one_refused_and_the_former_kept(void **state)
{
	(void)state;
	struct silence silence;
	silence_open(&silence);
	struct upstream *upstream = start(silence.url);
	const char *keys[] = { "", "a b", "a\n", "a\x7f", "a\xc3\xa4" };
	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
		assert_int_equal(upstream_set_key(upstream, bytes_of(keys[i])), STATUS_INVALID);
	assert_int_equal(upstream_set_key(upstream, BYTES_NONE), STATUS_INVALID);
	assert_int_equal(upstream_put(upstream, make_call(1, LONG_MS)), STATUS_OK);
	assert_next_request_carries(&silence, "\r\nAuthorization: Bearer sk-or-test\r\n");
	upstream_stop(upstream);
	close(silence.fd);
}

static void set_key_again_and_again_leaves_room_for_calls(void **state)
{
	(void)state;
	struct silence silence;
	silence_open(&silence);
	struct upstream *upstream = start(silence.url);
	for (int i = 0; i < 1000; i++) {
		enum status status = upstream_set_key(upstream, BYTES_LITERAL("sk-or-other"));
		assert_true(status == STATUS_OK || status == STATUS_FULL);
	}
	for (uint64_t id = 1; id <= 4; id++)
		assert_int_equal(upstream_put(upstream, make_call(id, LONG_MS)), STATUS_OK);
	upstream_stop(upstream);
	close(silence.fd);
}

static void take_with_a_small_array_gives_each_once(void **state)
{
	(void)state;
	struct silence silence;
	silence_open(&silence);
	struct upstream *upstream = start(silence.url);
	bool seen[5] = { false };
	for (uint64_t id = 1; id <= 4; id++)
		assert_int_equal(upstream_put(upstream, make_call(id, 0)), STATUS_OK);
	for (int i = 0; i < 4; i++) {
		struct call *call = take_one(upstream);
		assert_false(seen[call->id]);
		seen[call->id] = true;
		call_free(call);
	}
	upstream_stop(upstream);
	close(silence.fd);
}

static void end_of_each_code_as_in_the_table(void **state)
{
	(void)state;
	const struct {
		CURLcode code;
		bool sent, begun;
		enum transport_end end;
	} cases[] = {
		{ CURLE_OK, true, true, TRANSPORT_WHOLE },
		{ CURLE_COULDNT_RESOLVE_HOST, false, false, TRANSPORT_DNS },
		{ CURLE_COULDNT_CONNECT, false, false, TRANSPORT_CONNECT },
		{ CURLE_SSL_CONNECT_ERROR, false, false, TRANSPORT_TLS },
		{ CURLE_PEER_FAILED_VERIFICATION, false, false, TRANSPORT_CERTIFICATE },
		{ CURLE_SSL_CACERT_BADFILE, false, false, TRANSPORT_CERTIFICATE },
		{ CURLE_SSL_ISSUER_ERROR, false, false, TRANSPORT_CERTIFICATE },
		{ CURLE_SSL_PINNEDPUBKEYNOTMATCH, false, false, TRANSPORT_CERTIFICATE },
		{ CURLE_OPERATION_TIMEDOUT, false, false, TRANSPORT_CONNECT },
		{ CURLE_OPERATION_TIMEDOUT, true, false, TRANSPORT_TIMEOUT },
		{ CURLE_GOT_NOTHING, true, false, TRANSPORT_CLOSED },
		{ CURLE_SEND_ERROR, true, false, TRANSPORT_CLOSED },
		{ CURLE_RECV_ERROR, true, false, TRANSPORT_CLOSED },
		{ CURLE_RECV_ERROR, true, true, TRANSPORT_CUT },
		{ CURLE_HTTP2, true, false, TRANSPORT_CLOSED },
		{ CURLE_HTTP2_STREAM, true, true, TRANSPORT_CUT },
		{ CURLE_PARTIAL_FILE, true, true, TRANSPORT_CUT },
		{ CURLE_OUT_OF_MEMORY, false, false, TRANSPORT_INTERNAL },
		{ CURLE_OUT_OF_MEMORY, true, false, TRANSPORT_TOO_LARGE },
		{ CURLE_OUT_OF_MEMORY, true, true, TRANSPORT_TOO_LARGE },
		{ CURLE_FAILED_INIT, false, false, TRANSPORT_INTERNAL },
		{ CURLE_NOT_BUILT_IN, false, false, TRANSPORT_INTERNAL },
		{ (CURLcode)100, true, true, TRANSPORT_TOO_LARGE },
		{ (CURLcode)9999, true, true, TRANSPORT_INTERNAL },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		assert_int_equal(upstream_end_of(cases[i].code, cases[i].sent, cases[i].begun), cases[i].end);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(start_url_that_could_betray_the_key_refused),
		cmocka_unit_test(start_plain_http_to_another_host_with_leave_taken),
		cmocka_unit_test(start_header_text_with_control_characters_refused),
		cmocka_unit_test(start_authorities_missing_refused),
		cmocka_unit_test(start_short_of_descriptors_told_and_nothing_kept),
		cmocka_unit_test(stop_null_accepted),
		cmocka_unit_test(stop_with_calls_in_every_place_frees_all),
		cmocka_unit_test(put_beyond_the_bound_full_until_one_is_taken),
		cmocka_unit_test(probes_beyond_their_bound_full_and_beside_the_calls),
		cmocka_unit_test(cancel_of_unknown_ids_leaves_room_for_calls),
		cmocka_unit_test(deadline_past_timeout_without_a_request),
		cmocka_unit_test(first_content_clock_over_timeout_with_times),
		cmocka_unit_test(set_key_later_calls_carry_it_and_running_ones_go_on),
		cmocka_unit_test(set_key_bad_one_refused_and_the_former_kept),
		cmocka_unit_test(set_key_again_and_again_leaves_room_for_calls),
		cmocka_unit_test(take_with_a_small_array_gives_each_once),
		cmocka_unit_test(end_of_each_code_as_in_the_table),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
