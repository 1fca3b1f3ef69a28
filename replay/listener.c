/* Listening sockets. */
#include "replay/listener.h"

#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LISTEN_BACKLOG = 4096 };

static enum status split(const char *address, char host[static 256], char port[static 8])
{
	const char *colon = strrchr(address, ':');
	if (colon == NULL || colon == address || strlen(colon + 1) > 5 || colon[1] == 0) return STATUS_INVALID;
	size_t size = (size_t)(colon - address);
	if (address[0] == '[' && address[size - 1] == ']') {
		address++;
		size -= 2;
	}
	if (size >= 256) return STATUS_INVALID;
	memcpy(host, address, size);
	host[size] = 0;
	snprintf(port, 8, "%s", colon + 1);
	return STATUS_OK;
}

static enum status bind_and_listen(int fd, const struct addrinfo *found, uint16_t *out_port)
{
	const int yes = 1;
	struct sockaddr_storage bound;
	socklen_t size = sizeof bound;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0) return STATUS_IO;
	if (bind(fd, found->ai_addr, found->ai_addrlen) != 0) return STATUS_IO;
	if (listen(fd, LISTEN_BACKLOG) != 0) return STATUS_IO;
	if (getsockname(fd, (struct sockaddr *)&bound, &size) != 0) return STATUS_IO;
	if (bound.ss_family == AF_INET6)
		*out_port = ntohs(((struct sockaddr_in6 *)&bound)->sin6_port);
	else
		*out_port = ntohs(((struct sockaddr_in *)&bound)->sin_port);
	return STATUS_OK;
}

enum status listener_open(const char *address, int *out_fd, uint16_t *out_port)
{
	char host[256], port[8];
	if (split(address, host, port) != STATUS_OK) return STATUS_INVALID;
	const struct addrinfo hints = { .ai_flags = AI_PASSIVE | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM };
	struct addrinfo *found = NULL;
	if (getaddrinfo(host, port, &hints, &found) != 0) return STATUS_INVALID;
	enum status status = STATUS_IO;
	int fd = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd >= 0) status = bind_and_listen(fd, found, out_port);
	freeaddrinfo(found);
	if (status == STATUS_OK)
		*out_fd = fd;
	else if (fd >= 0)
		close(fd);
	return status;
}

enum status listener_free_port(uint16_t *out_port)
{
	int fd = -1;
	enum status status = listener_open("127.0.0.1:0", &fd, out_port);
	if (status == STATUS_OK) close(fd);
	return status;
}
