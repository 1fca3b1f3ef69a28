/* "address:port" or "[address]:port", numeric, as in the setting admin.listen.
 *
 * Shared by the server (worker/edge/admin.c), the health check that asks it, and the check of the setting, so that all
 * three mean the same. Names are not looked up: an address to listen on must not depend on a name service. Pure. */
#ifndef WORKER_EDGE_ADMIN_ADDRESS_H
#define WORKER_EDGE_ADMIN_ADDRESS_H

#include <netinet/in.h>
#include <sys/socket.h>

#include "common/status.h"

/* An IPv4 or IPv6 socket address; `any.sa_family` says which. */
union admin_address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

/* The address may be empty (`:9464` is 0.0.0.0) or `localhost` (127.0.0.1); names are not looked up.
 * STATUS_INVALID for anything else. */
NODISCARD enum status admin_address_parse(const char *text, union admin_address *out_address);

/* The size that bind() and connect() want. */
socklen_t admin_address_size(const union admin_address *address);

/* Where a process on the same host reaches a server on `address`: wildcards become loopback. */
void admin_address_to_local(union admin_address *address);

#endif
