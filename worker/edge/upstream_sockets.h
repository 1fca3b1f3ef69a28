/* The descriptors that one upstream thread watches for libcurl, in one epoll.
 *
 * libcurl asks for a socket when a transfer starts and lets go of it when the transfer ends, also when the connection
 * stays open for the next one. Following it to the letter would cost two system calls for each call, so a connection
 * stays in the epoll, watched for reading, until it is closed; when it becomes readable while nobody wants it, the
 * peer has closed it, and only then it is taken out. That is safe because libcurl closes connections through
 * upstream_sockets_closing(). Other descriptors (those of its resolver) are followed to the letter.
 *
 * A connection over which nothing comes any more looks like any other to libcurl, which would go on using it: over HTTP/2
 * until the kernel gives it up, minutes later. So it is known here when a response was last heard over it, and it can be
 * broken: shut down in both directions, which libcurl then meets as its end, also before it would use it again.
 *
 * Owner and thread: the upstream thread that embeds it. Nothing blocks but upstream_sockets_wait(). The table grows
 * with the highest descriptor, so it is bounded by the limit of open files. */
#ifndef WORKER_EDGE_UPSTREAM_SOCKETS_H
#define WORKER_EDGE_UPSTREAM_SOCKETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "common/status.h"

struct upstream_multi;

struct upstream_socket {
	struct upstream_multi *multi; /* borrowed; whose it is */
	uint32_t wanted;              /* EPOLLIN | EPOLLOUT as libcurl asked; 0 = nobody waits */
	uint32_t watched;             /* what the epoll knows; 0 = not in it */
	bool is_connection;           /* closed through upstream_sockets_closing() */
	int local_port;               /* 0 = not looked up yet */
	int64_t heard_ms;             /* when a response last went on, of those that are told to be heard; 0 = never */
	int64_t idle_ms;              /* since when nobody waits */
};

struct upstream_sockets {
	int epoll_fd;
	struct upstream_socket *table; /* owned; by descriptor */
	size_t count;
};

/* STATUS_IO: no descriptor to be had. */
NODISCARD enum status upstream_sockets_open(struct upstream_sockets *sockets);

/* Safe on one that failed to open. */
void upstream_sockets_close(struct upstream_sockets *sockets);

/* Watches a descriptor of the thread's own for reading; it comes out of upstream_sockets_wait() like all others.
 * STATUS_IO. */
NODISCARD enum status upstream_sockets_watch(struct upstream_sockets *sockets, int fd);

/* libcurl has opened this connection. STATUS_NO_MEMORY: the caller closes it again. */
NODISCARD enum status upstream_sockets_opened(struct upstream_sockets *sockets, int fd, struct upstream_multi *multi);

/* libcurl is about to close this connection. Returns whose it was. */
struct upstream_multi *upstream_sockets_closing(struct upstream_sockets *sockets, int fd);

/* libcurl wants to hear of `events` (EPOLLIN, EPOLLOUT, both; 0 = of nothing any more). What cannot be watched for lack
 * of memory is left to the watchdogs. */
void upstream_sockets_want(
	struct upstream_sockets *sockets, int fd, uint32_t events, struct upstream_multi *multi, int64_t now_ms);

/* The connection of `multi` with this local port; -1 when there is none. The port alone would not do: connections to several
 * addresses may have the same. */
int upstream_sockets_find(struct upstream_sockets *sockets, const struct upstream_multi *multi, int local_port);

/* A response went on over this connection. */
void upstream_sockets_hear(struct upstream_sockets *sockets, int fd, int64_t now_ms);

/* When one last did; 0 = never. */
int64_t upstream_sockets_heard_ms(const struct upstream_sockets *sockets, int fd);

/* Breaks a connection, for all that use it. What has come over it and was not read is lost. */
void upstream_sockets_break(struct upstream_sockets *sockets, int fd);

/* Breaks the connections that nobody has used since this time. */
void upstream_sockets_break_idle(struct upstream_sockets *sockets, int64_t since_ms);

/* Blocks until something is ready or `timeout_ms` is over (-1 = for ever). Returns how many events there are, 0 when
 * a signal came in between. */
size_t upstream_sockets_wait(
	struct upstream_sockets *sockets, struct epoll_event *out_events, size_t count_max, int timeout_ms);

/* What libcurl is to be told of an event: its CURL_CSELECT_ bits, and whose socket it is. 0 with NULL: nothing, the event
 * is of a time before libcurl changed its mind. 0 with `*out_multi`: nobody uses this connection, and it has just been
 * found dead; it is no longer watched. */
int upstream_sockets_ready(
	struct upstream_sockets *sockets, const struct epoll_event *event, struct upstream_multi **out_multi);

#endif
