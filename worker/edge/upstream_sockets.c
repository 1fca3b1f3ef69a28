/* The descriptors of one upstream thread: see the header. */
#include "worker/edge/upstream_sockets.h"

#include <curl/curl.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/assertion.h"

enum { SOCKETS_COUNT_FIRST = 128, SURPLUS_SIZE = 4096, SURPLUS_READS_MAX = 16 };

enum status upstream_sockets_open(struct upstream_sockets *sockets)
{
	*sockets = (struct upstream_sockets){ .epoll_fd = epoll_create1(EPOLL_CLOEXEC) };
	return sockets->epoll_fd < 0 ? STATUS_IO : STATUS_OK;
}

void upstream_sockets_close(struct upstream_sockets *sockets)
{
	if (sockets->epoll_fd >= 0) close(sockets->epoll_fd);
	free(sockets->table);
	*sockets = (struct upstream_sockets){ .epoll_fd = -1 };
}

enum status upstream_sockets_watch(struct upstream_sockets *sockets, int fd)
{
	struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };
	return epoll_ctl(sockets->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0 ? STATUS_OK : STATUS_IO;
}

static enum status sockets_reserve(struct upstream_sockets *sockets, int fd)
{
	ASSERT(fd >= 0);
	size_t needed = (size_t)fd + 1;
	if (needed <= sockets->count) return STATUS_OK;
	size_t count = sockets->count == 0 ? SOCKETS_COUNT_FIRST : sockets->count;
	while (count < needed)
		count *= 2;
	struct upstream_socket *table = realloc(sockets->table, count * sizeof(*table));
	if (table == NULL) return STATUS_NO_MEMORY;
	memset(table + sockets->count, 0, (count - sockets->count) * sizeof(*table));
	sockets->table = table;
	sockets->count = count;
	return STATUS_OK;
}

enum status upstream_sockets_opened(struct upstream_sockets *sockets, int fd, struct upstream_multi *multi)
{
	enum status status = sockets_reserve(sockets, fd);
	if (status != STATUS_OK) return status;
	sockets->table[fd] = (struct upstream_socket){ .multi = multi, .is_connection = true };
	return STATUS_OK;
}

struct upstream_multi *upstream_sockets_closing(struct upstream_sockets *sockets, int fd)
{
	ASSERT(fd >= 0 && (size_t)fd < sockets->count);
	struct upstream_socket *socket = &sockets->table[fd];
	struct upstream_multi *multi = socket->multi;
	/* Closing takes it out of the epoll as well. */
	*socket = (struct upstream_socket){ 0 };
	return multi;
}

static void sockets_register(struct upstream_sockets *sockets, int fd, uint32_t events)
{
	struct upstream_socket *socket = &sockets->table[fd];
	if (socket->watched == events) return;
	struct epoll_event event = { .events = events, .data.fd = fd };
	int operation = events == 0 ? EPOLL_CTL_DEL : socket->watched == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
	int result = epoll_ctl(sockets->epoll_fd, operation, fd, &event);
	socket->watched = result == 0 ? events : 0;
}

void upstream_sockets_want(
	struct upstream_sockets *sockets, int fd, uint32_t events, struct upstream_multi *multi, int64_t now_ms)
{
	if (sockets_reserve(sockets, fd) != STATUS_OK) return;
	struct upstream_socket *socket = &sockets->table[fd];
	socket->wanted = events;
	socket->multi = multi;
	socket->idle_ms = now_ms;
	bool stays = events == 0 && socket->is_connection && socket->watched == EPOLLIN;
	if (!stays) sockets_register(sockets, fd, events);
}

size_t upstream_sockets_wait(
	struct upstream_sockets *sockets, struct epoll_event *out_events, size_t count_max, int timeout_ms)
{
	int count = epoll_wait(sockets->epoll_fd, out_events, (int)count_max, timeout_ms);
	ASSERT(count >= 0 || errno == EINTR);
	return count < 0 ? 0 : (size_t)count;
}

/* Errors are told as readiness: libcurl then meets them in its own read or write and knows what they are. */
static int sockets_bits(uint32_t events, uint32_t wanted)
{
	bool is_broken = (events & (EPOLLERR | EPOLLHUP)) != 0;
	int bits = 0;
	if ((wanted & EPOLLIN) != 0 && (is_broken || (events & EPOLLIN) != 0)) bits |= CURL_CSELECT_IN;
	if ((wanted & EPOLLOUT) != 0 && (is_broken || (events & EPOLLOUT) != 0)) bits |= CURL_CSELECT_OUT;
	return bits;
}

int upstream_sockets_ready(
	struct upstream_sockets *sockets, const struct epoll_event *event, struct upstream_multi **out_multi)
{
	*out_multi = NULL;
	int fd = event->data.fd;
	ASSERT(fd >= 0 && (size_t)fd < sockets->count);
	struct upstream_socket *socket = &sockets->table[fd];
	/* Closed, and perhaps opened anew, since these events were fetched. */
	if (socket->watched == 0) return 0;
	if (socket->wanted != 0) {
		int bits = sockets_bits(event->events, socket->wanted);
		if (bits != 0) *out_multi = socket->multi;
		return bits;
	}
	sockets_register(sockets, fd, 0);
	if (socket->is_connection) *out_multi = socket->multi;
	return 0;
}

/* 0 when it has none (any more). */
static int local_port_of(int fd)
{
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} address = { 0 };
	socklen_t size = sizeof(address);
	if (getsockname(fd, &address.any, &size) != 0) return 0;
	if (address.any.sa_family == AF_INET) return ntohs(address.v4.sin_port);
	return address.any.sa_family == AF_INET6 ? ntohs(address.v6.sin6_port) : 0;
}

int upstream_sockets_find(struct upstream_sockets *sockets, const struct upstream_multi *multi, int local_port)
{
	ASSERT(local_port > 0);
	for (size_t fd = 0; fd < sockets->count; fd++) {
		struct upstream_socket *socket = &sockets->table[fd];
		if (!socket->is_connection || socket->multi != multi) continue;
		if (socket->local_port == 0) socket->local_port = local_port_of((int)fd);
		if (socket->local_port == local_port) return (int)fd;
	}
	return -1;
}

void upstream_sockets_hear(struct upstream_sockets *sockets, int fd, int64_t now_ms)
{
	ASSERT(fd >= 0 && (size_t)fd < sockets->count);
	sockets->table[fd].heard_ms = now_ms;
}

int64_t upstream_sockets_heard_ms(const struct upstream_sockets *sockets, int fd)
{
	ASSERT(fd >= 0 && (size_t)fd < sockets->count);
	return sockets->table[fd].heard_ms;
}

void upstream_sockets_break(struct upstream_sockets *sockets, int fd)
{
	ASSERT(fd >= 0 && (size_t)fd < sockets->count);
	if (!sockets->table[fd].is_connection) return;
	if (shutdown(fd, SHUT_RDWR) != 0) return;
	/* libcurl peeks before it uses a connection again, and takes bytes that wait for a sign of life. */
	char surplus[SURPLUS_SIZE];
	for (int i = 0; i < SURPLUS_READS_MAX && recv(fd, surplus, sizeof(surplus), MSG_DONTWAIT) > 0; i++)
		continue;
}

void upstream_sockets_break_idle(struct upstream_sockets *sockets, int64_t since_ms)
{
	for (size_t fd = 0; fd < sockets->count; fd++) {
		const struct upstream_socket *socket = &sockets->table[fd];
		if (socket->is_connection && socket->wanted == 0 && socket->idle_ms <= since_ms)
			upstream_sockets_break(sockets, (int)fd);
	}
}
