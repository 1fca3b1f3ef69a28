#include "worker/edge/admin_address.h"

#include <arpa/inet.h>
#include <string.h>

#include "common/bytes.h"

static enum status read_v6(const char *host, uint16_t port, union admin_address *address)
{
	address->v6.sin6_family = AF_INET6;
	address->v6.sin6_port = htons(port);
	return inet_pton(AF_INET6, host, &address->v6.sin6_addr) == 1 ? STATUS_OK : STATUS_INVALID;
}

static enum status read_v4(const char *host, uint16_t port, union admin_address *address)
{
	if (host[0] == '\0') host = "0.0.0.0";
	if (strcmp(host, "localhost") == 0) host = "127.0.0.1";
	address->v4.sin_family = AF_INET;
	address->v4.sin_port = htons(port);
	return inet_pton(AF_INET, host, &address->v4.sin_addr) == 1 ? STATUS_OK : STATUS_INVALID;
}

enum status admin_address_parse(const char *text, union admin_address *out_address)
{
	union admin_address address;
	memset(&address, 0, sizeof address);
	const char *colon = strrchr(text, ':');
	int64_t port;
	if (colon == NULL || bytes_to_int64(bytes_of(colon + 1), &port) != STATUS_OK || port < 0 || port > 65535)
		return STATUS_INVALID;
	size_t size = (size_t)(colon - text);
	bool is_v6 = size >= 2 && text[0] == '[' && text[size - 1] == ']';
	if (is_v6) {
		text++;
		size -= 2;
	}
	char host[64];
	if (size >= sizeof host) return STATUS_INVALID;
	memcpy(host, text, size);
	host[size] = '\0';
	enum status status = is_v6 ? read_v6(host, (uint16_t)port, &address) : read_v4(host, (uint16_t)port, &address);
	if (status == STATUS_OK) *out_address = address;
	return status;
}

socklen_t admin_address_size(const union admin_address *address)
{
	return address->any.sa_family == AF_INET6 ? sizeof address->v6 : sizeof address->v4;
}

void admin_address_to_local(union admin_address *address)
{
	if (address->any.sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&address->v6.sin6_addr))
		address->v6.sin6_addr = in6addr_loopback;
	if (address->any.sa_family == AF_INET && address->v4.sin_addr.s_addr == htonl(INADDR_ANY))
		address->v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
}
