/* The stand-in's life, and what others see of it while it runs. Its answers: tests/integration/test_replay_standin.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/buffer.h"
#include "replay/file.h"
#include "replay/listener.h"
#include "replay/standin.h"

enum { ANSWER_MAX = 1 << 20 };

static struct standin *start(const struct standin_options *options)
{
	struct standin *standin = NULL;
	assert_int_equal(standin_start(options, &standin), STATUS_OK);
	return standin;
}

/* Sends one chat and does not wait for the answer. */
static int open_chat(const struct standin *standin, const char *text)
{
	char body[512], request[1024];
	unsigned port = 0;
	assert_int_equal(sscanf(standin_url(standin), "http://127.0.0.1:%u/api/v1", &port), 1);
	const struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)
	};
	int body_size = snprintf(body, sizeof body,
		"{\"model\":\"m\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"%s\"}]}", text);
	int size = snprintf(request, sizeof request,
		"POST /api/v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\n"
		"Connection: close\r\nContent-Length: %d\r\n\r\n%s",
		body_size, body);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(send(fd, request, (size_t)size, MSG_NOSIGNAL), size);
	return fd;
}

/* All that comes until the other side closes. */
static struct buffer read_all(int fd)
{
	struct buffer answer;
	char piece[4096];
	ssize_t size;
	buffer_init(&answer, ANSWER_MAX);
	while ((size = recv(fd, piece, sizeof piece, 0)) > 0)
		buffer_append(&answer, bytes_at(piece, (size_t)size));
	close(fd);
	return answer;
}

static void standin_answers_and_counts(void **state)
{
	(void)state;
	struct standin_options options = standin_options_default();
	struct standin *standin = start(&options);
	struct buffer answer = read_all(open_chat(standin, "hello"));
	assert_true(bytes_starts_with(buffer_bytes(&answer), BYTES_LITERAL("HTTP/1.1 200 OK\r\n")));
	assert_non_null(memmem(answer.data, answer.size, "data: [DONE]", 12));
	buffer_deinit(&answer);
	answer = read_all(open_chat(standin, "[[429]]"));
	assert_true(bytes_starts_with(buffer_bytes(&answer), BYTES_LITERAL("HTTP/1.1 429 ")));
	buffer_deinit(&answer);
	struct standin_counts counts = standin_counts(standin);
	assert_int_equal(counts.requests, 2);
	assert_int_equal(counts.waiting, 0);
	standin_stop(standin);
}

static void standin_stop_closes_all_that_wait(void **state)
{
	(void)state;
	enum { COUNT = 100 };
	static const char *const TEXTS[] = { "[[hang]]", "[[stall]]", "[[latency 50000]]",
		"[[ttft 1]] [[latency 50000]]" };
	struct standin_options options = standin_options_default();
	struct standin *standin = start(&options);
	int fds[COUNT];
	for (size_t i = 0; i < COUNT; i++)
		fds[i] = open_chat(standin, TEXTS[i % 4]);
	while (standin_counts(standin).requests < COUNT)
		continue;
	standin_stop(standin);
	for (size_t i = 0; i < COUNT; i++) {
		struct buffer answer = read_all(fds[i]);
		assert_null(memmem(answer.data != NULL ? answer.data : "", answer.size, "[DONE]", 6));
		buffer_deinit(&answer);
	}
}

static void standin_stop_accepts_null(void **state)
{
	(void)state;
	standin_stop(NULL);
}

static void standin_borrows_its_options_for_the_start_only(void **state)
{
	(void)state;
	char key[] = "k", listen_text[] = "127.0.0.1:0";
	struct standin_options options = standin_options_default();
	options.key = key;
	options.listen = listen_text;
	struct standin *standin = start(&options);
	memset(key, 'x', 1);
	memset(listen_text, 'x', sizeof listen_text - 1);
	struct buffer answer = read_all(open_chat(standin, "hello"));
	assert_true(bytes_starts_with(buffer_bytes(&answer), BYTES_LITERAL("HTTP/1.1 200 OK\r\n")));
	buffer_deinit(&answer);
	standin_stop(standin);
}

static void standin_on_a_wrong_address_does_not_start(void **state)
{
	(void)state;
	static const char *const ADDRESSES[] = { "", "127.0.0.1", ":80", "127.0.0.1:", "127.0.0.1:port",
		"127.0.0.1:123456" };
	for (size_t i = 0; i < sizeof ADDRESSES / sizeof ADDRESSES[0]; i++) {
		struct standin_options options = standin_options_default();
		struct standin *standin = NULL;
		options.listen = ADDRESSES[i];
		assert_int_equal(standin_start(&options, &standin), STATUS_INVALID);
	}
}

static void standin_on_a_taken_port_does_not_start(void **state)
{
	(void)state;
	struct standin_options options = standin_options_default();
	struct standin *first = start(&options), *second = NULL;
	char address[64];
	unsigned port = 0;
	assert_int_equal(sscanf(standin_url(first), "http://127.0.0.1:%u", &port), 1);
	snprintf(address, sizeof address, "127.0.0.1:%u", port);
	options.listen = address;
	assert_int_equal(standin_start(&options, &second), STATUS_IO);
	assert_int_equal(errno, EADDRINUSE);
	standin_stop(first);
	assert_int_equal(standin_start(&options, &second), STATUS_OK);
	standin_stop(second);
}

static void standin_without_its_journal_does_not_start(void **state)
{
	(void)state;
	struct standin_options options = standin_options_default();
	struct standin *standin = NULL;
	options.journal = "/nowhere/journal";
	assert_int_equal(standin_start(&options, &standin), STATUS_IO);
	assert_int_equal(errno, ENOENT);
}

static void standin_journal_is_whole_after_the_stop(void **state)
{
	(void)state;
	char path[] = "/tmp/chat-journal-test.XXXXXX";
	int fd = mkstemp(path);
	struct standin_options options = standin_options_default();
	options.journal = path;
	struct standin *standin = start(&options);
	for (int i = 0; i < 50; i++) {
		struct buffer answer = read_all(open_chat(standin, "hello"));
		buffer_deinit(&answer);
	}
	standin_stop(standin);
	struct buffer journal;
	size_t lines = 0;
	buffer_init(&journal, ANSWER_MAX);
	assert_int_equal(file_read(path, &journal), STATUS_OK);
	for (size_t i = 0; i < journal.size; i++)
		lines += journal.data[i] == '\n';
	assert_int_equal(lines, 50);
	assert_true(bytes_starts_with(buffer_bytes(&journal), BYTES_LITERAL("{\"ms\":")));
	buffer_deinit(&journal);
	close(fd);
	unlink(path);
}

static void listener_takes_ipv6_and_free_ports(void **state)
{
	(void)state;
	int fd = -1;
	uint16_t port = 0, other = 0;
	assert_int_equal(listener_open("localhost:0", &fd, &port), STATUS_OK);
	assert_true(port > 0);
	close(fd);
	if (listener_open("[::1]:0", &fd, &port) == STATUS_OK) { /* not every machine has IPv6 */
		assert_true(port > 0);
		close(fd);
	}
	assert_int_equal(listener_free_port(&other), STATUS_OK);
	assert_true(other > 0);
}

static void file_over_its_bound_is_too_large(void **state)
{
	(void)state;
	struct buffer text;
	buffer_init(&text, 10);
	assert_int_equal(file_read("/proc/self/maps", &text), STATUS_TOO_LARGE);
	buffer_deinit(&text);
	assert_int_equal(file_read("/nowhere", &text), STATUS_NOT_FOUND);
	assert_int_equal(file_read("/tmp", &text), STATUS_IO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(standin_answers_and_counts),
		cmocka_unit_test(standin_stop_closes_all_that_wait),
		cmocka_unit_test(standin_stop_accepts_null),
		cmocka_unit_test(standin_borrows_its_options_for_the_start_only),
		cmocka_unit_test(standin_on_a_wrong_address_does_not_start),
		cmocka_unit_test(standin_on_a_taken_port_does_not_start),
		cmocka_unit_test(standin_without_its_journal_does_not_start),
		cmocka_unit_test(standin_journal_is_whole_after_the_stop),
		cmocka_unit_test(listener_takes_ipv6_and_free_ports),
		cmocka_unit_test(file_over_its_bound_is_too_large),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
