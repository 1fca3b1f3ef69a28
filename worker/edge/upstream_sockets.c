/* The descriptors of one upstream thread: see the header. */
#include "worker/edge/upstream_sockets.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/assertion.h"

enum { SOCKETS_COUNT_FIRST = 128 };

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

void upstream_sockets_want(struct upstream_sockets *sockets, int fd, uint32_t events, struct upstream_multi *multi)
{
	if (sockets_reserve(sockets, fd) != STATUS_OK) return;
	struct upstream_socket *socket = &sockets->table[fd];
	socket->wanted = events;
	socket->multi = multi;
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
		*out_multi = socket->multi;
		return sockets_bits(event->events, socket->wanted);
	}
	sockets_register(sockets, fd, 0);
	if (socket->is_connection) *out_multi = socket->multi;
	return 0;
}
