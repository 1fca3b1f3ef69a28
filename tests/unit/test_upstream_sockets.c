/* Connections that one upstream thread watches: which is whose, what was heard, and how they are broken. */
#include <arpa/inet.h>
#include <curl/curl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/testing.h"
#include "worker/edge/upstream_sockets.h"

enum { PAIRS = 3 };

/* Connections over TCP, both ends of each. */
struct pairs {
	struct upstream_sockets sockets;
	int ours[PAIRS], theirs[PAIRS];
};

static int bound_socket(struct sockaddr_in *out_address)
{
	*out_address = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(*out_address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)out_address, size), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)out_address, &size), 0);
	return fd;
}

static void pairs_open(struct pairs *pairs)
{
	struct sockaddr_in there, here;
	int listener = bound_socket(&there);
	assert_int_equal(listen(listener, PAIRS), 0);
	assert_int_equal(upstream_sockets_open(&pairs->sockets), STATUS_OK);
	for (int i = 0; i < PAIRS; i++) {
		pairs->ours[i] = bound_socket(&here);
		assert_int_equal(connect(pairs->ours[i], (struct sockaddr *)&there, sizeof(there)), 0);
		pairs->theirs[i] = accept(listener, NULL, NULL);
		assert_true(pairs->theirs[i] >= 0);
		assert_int_equal(upstream_sockets_opened(&pairs->sockets, pairs->ours[i], NULL), STATUS_OK);
	}
	close(listener);
}

static void pairs_close(struct pairs *pairs)
{
	for (int i = 0; i < PAIRS; i++) {
		close(pairs->ours[i]);
		close(pairs->theirs[i]);
	}
	upstream_sockets_close(&pairs->sockets);
}

static int port_of(int fd)
{
	struct sockaddr_in address = { 0 };
	socklen_t size = sizeof(address);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	return ntohs(address.sin_port);
}

static bool is_broken(const struct pairs *pairs, int i)
{
	char byte;
	ssize_t there = recv(pairs->theirs[i], &byte, 1, MSG_DONTWAIT | MSG_PEEK);
	ssize_t here = recv(pairs->ours[i], &byte, 1, MSG_DONTWAIT | MSG_PEEK);
	assert_int_equal(there == 0, here == 0);
	return there == 0;
}

static int find(struct pairs *pairs, int port)
{
	return upstream_sockets_find(&pairs->sockets, NULL, port);
}

static void upstream_sockets_find_knows_connections_by_their_port(void **state)
{
	(void)state;
	struct pairs pairs;
	pairs_open(&pairs);
	for (int i = 0; i < PAIRS; i++)
		assert_int_equal(find(&pairs, port_of(pairs.ours[i])), pairs.ours[i]);
	assert_int_equal(find(&pairs, port_of(pairs.theirs[0])), -1);
	int port = port_of(pairs.ours[1]);
	(void)upstream_sockets_closing(&pairs.sockets, pairs.ours[1]);
	assert_int_equal(find(&pairs, port), -1);
	pairs_close(&pairs);
}

static void upstream_sockets_find_takes_no_connection_of_another_handle(void **state)
{
	(void)state;
	struct pairs pairs;
	pairs_open(&pairs);
	const struct upstream_multi *multi = (void *)&pairs;
	int port = port_of(pairs.ours[1]);
	assert_int_equal(upstream_sockets_find(&pairs.sockets, multi, port), -1);
	upstream_sockets_want(&pairs.sockets, pairs.ours[1], EPOLLIN, (void *)&pairs, 100);
	assert_int_equal(upstream_sockets_find(&pairs.sockets, multi, port), pairs.ours[1]);
	assert_int_equal(find(&pairs, port), -1);
	pairs_close(&pairs);
}

static void upstream_sockets_heard_is_of_each_connection(void **state)
{
	(void)state;
	struct pairs pairs;
	pairs_open(&pairs);
	upstream_sockets_hear(&pairs.sockets, pairs.ours[1], 700);
	assert_int_equal(upstream_sockets_heard_ms(&pairs.sockets, pairs.ours[0]), 0);
	assert_int_equal(upstream_sockets_heard_ms(&pairs.sockets, pairs.ours[1]), 700);
	(void)upstream_sockets_closing(&pairs.sockets, pairs.ours[1]);
	assert_int_equal(upstream_sockets_opened(&pairs.sockets, pairs.ours[1], NULL), STATUS_OK);
	assert_int_equal(upstream_sockets_heard_ms(&pairs.sockets, pairs.ours[1]), 0);
	pairs_close(&pairs);
}

/* libcurl looks whether a byte waits before it uses a connection again. */
static void upstream_sockets_break_leaves_nothing_to_read(void **state)
{
	(void)state;
	struct pairs pairs;
	pairs_open(&pairs);
	assert_int_equal(send(pairs.theirs[0], "surplus", 7, MSG_NOSIGNAL), 7);
	upstream_sockets_break(&pairs.sockets, pairs.ours[0]);
	assert_true(is_broken(&pairs, 0));
	assert_false(is_broken(&pairs, 1));
	upstream_sockets_break(&pairs.sockets, pairs.ours[0]);
	pairs_close(&pairs);
}

static void upstream_sockets_break_idle_spares_those_in_use_and_those_just_used(void **state)
{
	(void)state;
	struct pairs pairs;
	pairs_open(&pairs);
	upstream_sockets_want(&pairs.sockets, pairs.ours[0], EPOLLIN, NULL, 100);
	upstream_sockets_want(&pairs.sockets, pairs.ours[0], 0, NULL, 200);
	upstream_sockets_want(&pairs.sockets, pairs.ours[1], EPOLLIN, NULL, 100);
	upstream_sockets_want(&pairs.sockets, pairs.ours[2], EPOLLIN, NULL, 100);
	upstream_sockets_want(&pairs.sockets, pairs.ours[2], 0, NULL, 301);
	upstream_sockets_break_idle(&pairs.sockets, 300);
	assert_true(is_broken(&pairs, 0));
	assert_false(is_broken(&pairs, 1));
	assert_false(is_broken(&pairs, 2));
	pairs_close(&pairs);
}

/* Events are fetched many at a time; serving one can change what is wanted of the next. */
static void upstream_sockets_ready_takes_an_event_of_before_for_nothing(void **state)
{
	(void)state;
	struct pairs pairs;
	pairs_open(&pairs);
	struct upstream_multi *multi = (void *)&pairs, *whose = multi;
	struct epoll_event event = { .events = EPOLLOUT, .data.fd = pairs.ours[0] };
	upstream_sockets_want(&pairs.sockets, pairs.ours[0], EPOLLIN, multi, 100);
	assert_int_equal(upstream_sockets_ready(&pairs.sockets, &event, &whose), 0);
	assert_null(whose);
	event.events = EPOLLIN;
	assert_int_equal(upstream_sockets_ready(&pairs.sockets, &event, &whose), CURL_CSELECT_IN);
	assert_ptr_equal(whose, multi);
	upstream_sockets_want(&pairs.sockets, pairs.ours[0], 0, multi, 200);
	assert_int_equal(upstream_sockets_ready(&pairs.sockets, &event, &whose), 0);
	assert_ptr_equal(whose, multi);
	assert_int_equal(upstream_sockets_ready(&pairs.sockets, &event, &whose), 0);
	assert_null(whose);
	pairs_close(&pairs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(upstream_sockets_find_knows_connections_by_their_port),
		cmocka_unit_test(upstream_sockets_find_takes_no_connection_of_another_handle),
		cmocka_unit_test(upstream_sockets_heard_is_of_each_connection),
		cmocka_unit_test(upstream_sockets_break_leaves_nothing_to_read),
		cmocka_unit_test(upstream_sockets_break_idle_spares_those_in_use_and_those_just_used),
		cmocka_unit_test(upstream_sockets_ready_takes_an_event_of_before_for_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
