/* Listening sockets from texts like "127.0.0.1:0".
 *
 * Only the first address that a name stands for is taken.
 * Threads: any. Blocks for name look-ups only when the address is a name. */
#ifndef REPLAY_LISTENER_H
#define REPLAY_LISTENER_H

#include <stdint.h>

#include "common/status.h"

/* A listening, non-blocking TCP socket; "[::1]:80" for IPv6. The caller closes `*out_fd`. `*out_port` is the real
 * port, also when 0 was asked. STATUS_INVALID: no ADDRESS:PORT. STATUS_IO: it cannot be bound, errno says why. */
NODISCARD enum status listener_open(const char *address, int *out_fd, uint16_t *out_port);

/* A port of 127.0.0.1 that was free a moment ago. STATUS_IO: there is none. */
NODISCARD enum status listener_free_port(uint16_t *out_port);

#endif
