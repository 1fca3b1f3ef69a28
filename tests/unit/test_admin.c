#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/clock.h"
#include "worker/edge/admin.h"
#include "worker/edge/admin_address.h"

static const struct metric_descriptor descriptors[] = {
	{ .name = "sample_total",
		.type = METRIC_COUNTER,
		.unit = "",
		.constant_labels = "",
		.scale = 1,
		.help = "Sample." },
};

struct fixture {
	struct admin_health health;
	struct metrics *metrics;
	struct admin *admin;
	char answer[65536];
};

static int start(void **state)
{
	static struct fixture fixture;
	memset(&fixture, 0, sizeof fixture);
	fixture.metrics = metrics_new(descriptors, 1);
	const struct admin_options options = {
		.listen = "127.0.0.1:0", .health = &fixture.health, .metrics = fixture.metrics
	};
	*state = &fixture;
	return admin_start(&options, &fixture.admin) == STATUS_OK ? 0 : -1;
}

static int stop(void **state)
{
	struct fixture *fixture = *state;
	admin_stop(fixture->admin);
	metrics_free(fixture->metrics);
	return 0;
}

static int connect_to(unsigned port)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const struct timeval timeout = { .tv_sec = 20 };
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout), 0);
	union admin_address address;
	char text[64];
	(void)snprintf(text, sizeof text, "127.0.0.1:%u", port);
	assert_int_equal(admin_address_parse(text, &address), STATUS_OK);
	assert_int_equal(connect(fd, &address.any, admin_address_size(&address)), 0);
	return fd;
}

static const char *ask(struct fixture *fixture, const char *request)
{
	int fd = connect_to(admin_port(fixture->admin));
	assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), (ssize_t)strlen(request));
	size_t size = 0;
	ssize_t more;
	while ((more = recv(fd, fixture->answer + size, sizeof fixture->answer - 1 - size, 0)) > 0)
		size += (size_t)more;
	fixture->answer[size] = '\0';
	assert_int_equal(close(fd), 0);
	return fixture->answer;
}

static void assert_answer(struct fixture *fixture, const char *path, int code, const char *part)
{
	char request[128], status[32];
	(void)snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", path);
	(void)snprintf(status, sizeof status, "HTTP/1.1 %d ", code);
	const char *answer = ask(fixture, request);
	if (strstr(answer, status) != answer || strstr(answer, part) == NULL)
		fail_msg("%s: wanted %d %s, got: %s", path, code, part, answer);
}

static void make_ready(struct admin_health *health)
{
	atomic_store(&health->settings_loaded, true);
	atomic_store(&health->broker_reached, true);
	atomic_store(&health->group_joined, true);
}

static void admin_health_is_about_the_process_alone(void **state)
{
	struct fixture *fixture = *state;
	assert_answer(fixture, "/healthz", 200, "\r\n\r\nok\n");
	atomic_store(&fixture->health.account_refused, true);
	atomic_store(&fixture->health.draining, true);
	assert_answer(fixture, "/healthz", 200, "ok");
	atomic_store(&fixture->health.progress_mono_ms, clock_now().mono_ms);
	assert_answer(fixture, "/healthz", 200, "ok");
	atomic_store(&fixture->health.progress_mono_ms, clock_now().mono_ms - ADMIN_PROGRESS_MAX_MS - 1000);
	assert_answer(fixture, "/healthz", 503, "the loop makes no progress");
	atomic_store(&fixture->health.progress_mono_ms, clock_now().mono_ms);
	atomic_store(&fixture->health.oldest_past_deadline_ms, ADMIN_PAST_DEADLINE_MAX_MS + 1);
	assert_answer(fixture, "/healthz", 503, "a chat is long past its deadline");
}

static void admin_health_limits_are_inclusive(void **state)
{
	(void)state;
	struct admin_health health;
	memset(&health, 0, sizeof health);
	assert_null(admin_unhealthy(&health, 1000000));
	atomic_store(&health.progress_mono_ms, 1000);
	assert_null(admin_unhealthy(&health, 1000 + ADMIN_PROGRESS_MAX_MS));
	assert_non_null(admin_unhealthy(&health, 1001 + ADMIN_PROGRESS_MAX_MS));
	atomic_store(&health.oldest_past_deadline_ms, ADMIN_PAST_DEADLINE_MAX_MS);
	assert_null(admin_unhealthy(&health, 1000));
}

static void admin_ready_only_when_everything_is(void **state)
{
	struct fixture *fixture = *state;
	struct admin_health *health = &fixture->health;
	assert_answer(fixture, "/readyz", 503, "settings are not loaded yet");
	atomic_store(&health->settings_loaded, true);
	assert_answer(fixture, "/readyz", 503, "no broker has been reached yet");
	atomic_store(&health->broker_reached, true);
	assert_answer(fixture, "/readyz", 503, "not a member of the consumer group");
	atomic_store(&health->group_joined, true);
	assert_answer(fixture, "/readyz", 200, "\r\n\r\nok\n");
	atomic_store(&health->account_refused, true);
	assert_answer(fixture, "/readyz", 503, "refuses the account");
	atomic_store(&health->draining, true);
	assert_answer(fixture, "/readyz", 503, "draining");
}

static void admin_metrics_in_both_formats(void **state)
{
	struct fixture *fixture = *state;
	metrics_add(fixture->metrics, 0, 3);
	assert_answer(fixture, "/metrics", 200, "\nsample_total 3\n");
	assert_non_null(strstr(fixture->answer, "text/plain; version=0.0.4"));
	assert_non_null(strstr(fixture->answer, "\nprocess_open_fds "));
	const char *answer =
		ask(fixture, "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
			     "Accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5\r\n\r\n");
	assert_non_null(strstr(answer, "application/openmetrics-text; version=1.0.0"));
	assert_non_null(strstr(answer, "# TYPE sample counter\n"));
	assert_non_null(strstr(answer, "# EOF\n"));
}

static void admin_head_has_no_body(void **state)
{
	struct fixture *fixture = *state;
	make_ready(&fixture->health);
	const char *answer = ask(fixture, "HEAD /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	assert_non_null(strstr(answer, "HTTP/1.1 200 "));
	assert_string_equal(strstr(answer, "\r\n\r\n"), "\r\n\r\n");
}

static void admin_other_paths_and_methods_refused(void **state)
{
	struct fixture *fixture = *state;
	assert_answer(fixture, "/", 404, "not found");
	assert_answer(fixture, "/metrics/", 404, "not found");
	assert_answer(fixture, "/../etc/passwd", 404, "not found");
	const char *answer =
		ask(fixture, "POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi");
	assert_non_null(strstr(answer, "HTTP/1.1 405 "));
	assert_non_null(strstr(answer, "Allow: GET, HEAD"));
	answer = ask(fixture, "DELETE /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	assert_non_null(strstr(answer, "HTTP/1.1 405 "));
}

static void admin_many_connections_bounded_and_survived(void **state)
{
	struct fixture *fixture = *state;
	make_ready(&fixture->health);
	int idle[3 * ADMIN_CONNECTIONS_MAX];
	for (size_t i = 0; i < sizeof idle / sizeof idle[0]; i++)
		idle[i] = connect_to(admin_port(fixture->admin));
	for (size_t i = 0; i < sizeof idle / sizeof idle[0]; i++)
		assert_int_equal(close(idle[i]), 0);
	assert_answer(fixture, "/readyz", 200, "ok");
}

static void admin_bad_or_taken_address_told(void **state)
{
	struct fixture *fixture = *state;
	struct admin_options options = { .listen = "nowhere", .health = &fixture->health, .metrics = fixture->metrics };
	struct admin *admin = NULL;
	assert_int_equal(admin_start(&options, &admin), STATUS_INVALID);
	char taken[64];
	(void)snprintf(taken, sizeof taken, "127.0.0.1:%u", admin_port(fixture->admin));
	options.listen = taken;
	assert_int_equal(admin_start(&options, &admin), STATUS_IO);
	assert_null(admin);
	admin_stop(NULL);
}

static void admin_address_forms_taken(void **state)
{
	(void)state;
	static const char *const good[] = { "0.0.0.0:9464", "127.0.0.1:0", ":9464", "localhost:1", "[::]:9464",
		"[::1]:65535" };
	static const char *const bad[] = { "", ":", "9464", "1.2.3.4", "1.2.3:4", "1.2.3.4:", "1.2.3.4:65536",
		"1.2.3.4:-1", "::1:80", "[::1]", "[::1:80", "[]:80", "[1.2.3.4]:80", "name:80", "1.2.3.4:80 ",
		"1.2.3.4:0x50" };
	union admin_address address;
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
		assert_int_equal(admin_address_parse(good[i], &address), STATUS_OK);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		if (admin_address_parse(bad[i], &address) != STATUS_INVALID) fail_msg("taken: %s", bad[i]);
	}
}

static void admin_address_wildcard_reached_by_loopback(void **state)
{
	(void)state;
	union admin_address address;
	assert_int_equal(admin_address_parse("0.0.0.0:80", &address), STATUS_OK);
	admin_address_to_local(&address);
	assert_int_equal(address.v4.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	assert_int_equal(admin_address_parse("[::]:80", &address), STATUS_OK);
	admin_address_to_local(&address);
	assert_memory_equal(&address.v6.sin6_addr, &in6addr_loopback, sizeof in6addr_loopback);
	assert_int_equal(admin_address_parse("10.1.2.3:80", &address), STATUS_OK);
	admin_address_to_local(&address);
	assert_int_equal(address.v4.sin_addr.s_addr, htonl(0x0a010203));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(admin_health_is_about_the_process_alone, start, stop),
		cmocka_unit_test(admin_health_limits_are_inclusive),
		cmocka_unit_test_setup_teardown(admin_ready_only_when_everything_is, start, stop),
		cmocka_unit_test_setup_teardown(admin_metrics_in_both_formats, start, stop),
		cmocka_unit_test_setup_teardown(admin_head_has_no_body, start, stop),
		cmocka_unit_test_setup_teardown(admin_other_paths_and_methods_refused, start, stop),
		cmocka_unit_test_setup_teardown(admin_many_connections_bounded_and_survived, start, stop),
		cmocka_unit_test_setup_teardown(admin_bad_or_taken_address_told, start, stop),
		cmocka_unit_test(admin_address_forms_taken),
		cmocka_unit_test(admin_address_wildcard_reached_by_loopback),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
