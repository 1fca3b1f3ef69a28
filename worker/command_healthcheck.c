/* GET /readyz on this host, with a plain socket: an image needs no HTTP client for its health check. */
#include "worker/command.h"

#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "worker/edge/admin_address.h"

enum { HEALTHCHECK_TIMEOUT_S = 2 };

static enum status ask(int fd, const union admin_address *address, struct buffer *out_answer)
{
	static const char request[] = "GET /readyz HTTP/1.0\r\n\r\n";
	const struct timeval timeout = { .tv_sec = HEALTHCHECK_TIMEOUT_S };
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
	if (connect(fd, &address->any, admin_address_size(address)) != 0) return STATUS_IO;
	if (send(fd, request, sizeof request - 1, MSG_NOSIGNAL) != (ssize_t)sizeof request - 1) return STATUS_IO;
	char piece[512];
	ssize_t size;
	while ((size = recv(fd, piece, sizeof piece, 0)) > 0)
		buffer_append(out_answer, bytes_at(piece, (size_t)size));
	return size == 0 ? buffer_status(out_answer) : STATUS_TIMEOUT;
}

/* What comes after the empty line. */
static struct bytes body_of(struct bytes answer)
{
	const char *end = answer.size == 0 ? NULL : memmem(answer.data, answer.size, "\r\n\r\n", 4);
	if (end == NULL) return BYTES_LITERAL("no answer");
	return bytes_trim(bytes_at(end + 4, answer.size - (size_t)(end + 4 - answer.data)));
}

static enum worker_exit check(const struct command_line *line, const union admin_address *address)
{
	struct buffer answer;
	buffer_init(&answer, 4096);
	int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	enum status status = fd < 0 ? STATUS_IO : ask(fd, address, &answer);
	if (fd >= 0) (void)close(fd);
	struct bytes text = buffer_bytes(&answer);
	bool is_ready = status == STATUS_OK && (bytes_starts_with(text, BYTES_LITERAL("HTTP/1.1 200")) ||
						       bytes_starts_with(text, BYTES_LITERAL("HTTP/1.0 200")));
	if (!is_ready)
		command_tell_error(line, status == STATUS_OK
						 ? body_of(text)
						 : BYTES_LITERAL("the worker does not answer on admin.listen"));
	buffer_deinit(&answer);
	return is_ready ? WORKER_EXIT_OK : WORKER_EXIT_FAILED;
}

/* Only admin.listen matters; whether the other settings are good is the running worker's business. */
enum worker_exit command_healthcheck(const struct command_line *line)
{
	enum status status;
	struct settings *settings = command_settings(line, &status);
	if (settings == NULL) return WORKER_EXIT_FAILED;
	union admin_address address;
	bool is_good = admin_address_parse(settings->admin.listen, &address) == STATUS_OK;
	settings_free(settings);
	if (!is_good) {
		command_tell_error(line, bytes_of("admin.listen: is not an address:port"));
		return WORKER_EXIT_CONFIG;
	}
	admin_address_to_local(&address);
	return check(line, &address);
}
