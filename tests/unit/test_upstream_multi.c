/* The multi handles of an upstream thread after a burst: those that are left alone close with their connections. */
#include "worker/edge/upstream_multi.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "tests/unit/testing.h"

enum { START_MS = 1000, WAIT_MS = 20000, EVENTS_MAX = 8, TRANSFERS = UPSTREAM_MULTI_TRANSFERS_MAX + 1 };

static const char ANSWER[] = "HTTP/1.1 204 No Content\r\n\r\n";

/* A server that answers whatever it reads, and a thread's handles, whose time is told by the test. */
struct stage {
	struct upstream_setup setup;
	struct upstream_sockets sockets;
	struct upstream_multis multis;
	struct instant now;
	int listener;
	int peers[TRANSFERS];
	size_t peer_count;
	char url[64];
	struct one {
		struct upstream_multi *multi;
		CURL *easy;
		struct list place;
	} all[TRANSFERS];
};

static int listen_on(char *out_url, size_t size)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, length), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
	assert_int_equal(listen(fd, TRANSFERS), 0);
	snprintf(out_url, size, "http://127.0.0.1:%d/", ntohs(address.sin_port));
	return fd;
}

static struct stage *stage_open(void)
{
	struct stage *stage = calloc(1, sizeof(*stage));
	assert_non_null(stage);
	stage->now.mono_ms = START_MS;
	stage->setup.http_version = CURL_HTTP_VERSION_1_1;
	stage->listener = listen_on(stage->url, sizeof(stage->url));
	assert_int_equal(upstream_sockets_open(&stage->sockets), STATUS_OK);
	stage->multis = (struct upstream_multis){
		.setup = &stage->setup, .sockets = &stage->sockets, .now = &stage->now, .connection_max = TRANSFERS
	};
	assert_int_equal(upstream_multis_init(&stage->multis, TRANSFERS), STATUS_OK);
	return stage;
}

static void stage_close(struct stage *stage)
{
	upstream_multis_deinit(&stage->multis);
	upstream_sockets_close(&stage->sockets);
	for (size_t i = 0; i < stage->peer_count; i++)
		close(stage->peers[i]);
	close(stage->listener);
	free(stage);
}

static void serve(struct stage *stage)
{
	char request[1024];
	int fd = accept(stage->listener, NULL, NULL);
	if (fd >= 0) stage->peers[stage->peer_count++] = fd;
	for (size_t i = 0; i < stage->peer_count; i++) {
		if (recv(stage->peers[i], request, sizeof(request), MSG_DONTWAIT) <= 0) continue;
		assert_true(send(stage->peers[i], ANSWER, sizeof(ANSWER) - 1, MSG_NOSIGNAL) > 0);
	}
}

static void begin(struct stage *stage, struct one *one)
{
	one->easy = curl_easy_init();
	assert_non_null(one->easy);
	assert_int_equal(curl_easy_setopt(one->easy, CURLOPT_URL, stage->url), CURLE_OK);
	assert_int_equal(curl_easy_setopt(one->easy, CURLOPT_NOSIGNAL, 1L), CURLE_OK);
	assert_int_equal(curl_easy_setopt(one->easy, CURLOPT_PROXY, ""), CURLE_OK);
	assert_int_equal(upstream_multis_adopt(&stage->multis, one->easy, &one->multi), STATUS_OK);
	assert_int_equal(upstream_multis_pick(&stage->multis, &one->multi), STATUS_OK);
	assert_int_equal(upstream_multi_add(one->multi, one->easy, &one->place), STATUS_OK);
}

static void end(struct one *one)
{
	upstream_multi_remove(one->multi, one->easy, &one->place);
	curl_easy_cleanup(one->easy);
}

/* Finished transfers of all handles; how many there were. */
static size_t collect(struct stage *stage)
{
	size_t count = 0;
	CURLcode code;
	for (size_t i = 0; i < stage->multis.count; i++)
		for (; upstream_multi_finished(stage->multis.all[i], &code) != NULL; count++)
			assert_int_equal(code, CURLE_OK);
	return count;
}

static void answer_all(struct stage *stage, size_t count)
{
	struct epoll_event events[EVENTS_MAX];
	int64_t end_ms = clock_now().mono_ms + WAIT_MS;
	for (size_t finished = 0; finished < count; finished += collect(stage)) {
		assert_true(clock_now().mono_ms < end_ms);
		serve(stage);
		upstream_multis_run_timers(&stage->multis);
		size_t ready = upstream_sockets_wait(&stage->sockets, events, EVENTS_MAX, 1);
		for (size_t i = 0; i < ready; i++)
			upstream_multis_ready(&stage->multis, &events[i]);
	}
}

/* One more than a handle takes; answered, and all connections idle. */
static struct stage *after_a_burst(void)
{
	struct stage *stage = stage_open();
	for (size_t i = 0; i < TRANSFERS; i++)
		begin(stage, &stage->all[i]);
	answer_all(stage, TRANSFERS);
	for (size_t i = 0; i < TRANSFERS; i++)
		end(&stage->all[i]);
	assert_int_equal(stage->multis.count, 2);
	assert_int_equal(stage->multis.connection_count, TRANSFERS);
	return stage;
}

static void look_at(struct stage *stage, int64_t after_ms)
{
	stage->now.mono_ms = START_MS + after_ms;
	upstream_multis_close_left(&stage->multis);
}

static void handles_left_alone_close_with_their_connections(void **state)
{
	(void)state;
	struct stage *stage = after_a_burst();
	look_at(stage, UPSTREAM_MULTI_UNUSED_MS - 1);
	assert_int_equal(stage->multis.connection_count, TRANSFERS);
	/* Not before it is time to look again. */
	look_at(stage, UPSTREAM_MULTI_UNUSED_MS);
	assert_int_equal(stage->multis.connection_count, TRANSFERS);
	look_at(stage, UPSTREAM_MULTI_UNUSED_MS - 1 + UPSTREAM_MULTI_LOOK_MS);
	assert_int_equal(stage->multis.connection_count, 0);
	assert_null(stage->multis.all[0]->handle);
	assert_null(stage->multis.all[1]->handle);
	stage_close(stage);
}

static void handle_that_works_keeps_its_connections(void **state)
{
	(void)state;
	struct stage *stage = after_a_burst();
	stage->now.mono_ms = START_MS + UPSTREAM_MULTI_UNUSED_MS;
	begin(stage, &stage->all[0]);
	assert_int_equal(stage->all[0].multi->index, 0);
	look_at(stage, UPSTREAM_MULTI_UNUSED_MS);
	assert_int_equal(stage->multis.connection_count, UPSTREAM_MULTI_TRANSFERS_MAX);
	answer_all(stage, 1);
	end(&stage->all[0]);
	look_at(stage, 2 * UPSTREAM_MULTI_UNUSED_MS - 1);
	assert_int_equal(stage->multis.connection_count, UPSTREAM_MULTI_TRANSFERS_MAX);
	stage_close(stage);
}

static void due_is_the_next_look_while_there_are_connections(void **state)
{
	(void)state;
	struct stage *stage = after_a_burst();
	look_at(stage, 0);
	assert_int_equal(upstream_multis_due(&stage->multis), START_MS + UPSTREAM_MULTI_LOOK_MS);
	look_at(stage, UPSTREAM_MULTI_UNUSED_MS);
	assert_int_equal(stage->multis.connection_count, 0);
	assert_true(upstream_multis_due(&stage->multis) == HEAP_NEVER);
	stage_close(stage);
}

int main(void)
{
	curl_global_init(CURL_GLOBAL_DEFAULT);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(handles_left_alone_close_with_their_connections),
		cmocka_unit_test(handle_that_works_keeps_its_connections),
		cmocka_unit_test(due_is_the_next_look_while_there_are_connections),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	curl_global_cleanup();
	return failed;
}
