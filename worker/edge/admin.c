#include "worker/edge/admin.h"

#include <stdlib.h>
#include <string.h>

#include <microhttpd.h>

#include "common/assertion.h"
#include "common/clock.h"
#include "common/process_metrics.h"
#include "worker/edge/admin_address.h"

enum { ADMIN_CONNECTION_MEMORY = 16384 };

struct admin {
	struct MHD_Daemon *daemon;
	const struct admin_health *health;
	struct metrics *metrics;
	unsigned port;
};

/* One answer under way. */
struct answer {
	unsigned code;
	const char *content_type;
	struct buffer body;
};

const char *admin_unhealthy(const struct admin_health *health, int64_t mono_ms)
{
	int64_t progress_ms = atomic_load_explicit(&health->progress_mono_ms, memory_order_relaxed);
	int64_t late_ms = atomic_load_explicit(&health->oldest_past_deadline_ms, memory_order_relaxed);
	if (progress_ms != 0 && mono_ms - progress_ms > ADMIN_PROGRESS_MAX_MS) return "the loop makes no progress";
	if (late_ms > ADMIN_PAST_DEADLINE_MAX_MS) return "a chat is long past its deadline";
	return NULL;
}

static bool is_set(const atomic_bool *flag)
{
	return atomic_load_explicit(flag, memory_order_relaxed);
}

const char *admin_unready(const struct admin_health *health)
{
	if (!is_set(&health->settings_loaded)) return "settings are not loaded yet";
	if (is_set(&health->draining)) return "draining";
	if (is_set(&health->account_refused)) return "the model service refuses the account (401 or 402)";
	if (!is_set(&health->broker_reached)) return "no broker has been reached yet";
	if (!is_set(&health->group_joined)) return "not a member of the consumer group";
	return NULL;
}

static void answer_text(struct answer *answer, unsigned code, const char *text)
{
	answer->code = code;
	answer->content_type = "text/plain; charset=utf-8";
	buffer_append_text(&answer->body, text);
	buffer_append_char(&answer->body, '\n');
}

static void answer_state(struct answer *answer, const char *problem)
{
	answer_text(
		answer, problem == NULL ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE, problem == NULL ? "ok" : problem);
}

static void answer_metrics(struct answer *answer, struct metrics *metrics, const char *accept)
{
	bool is_open = accept != NULL && strstr(accept, "application/openmetrics-text") != NULL;
	enum metrics_format format = is_open ? METRICS_FORMAT_OPENMETRICS : METRICS_FORMAT_TEXT;
	answer->code = MHD_HTTP_OK;
	answer->content_type = metrics_content_type(format);
	process_metrics_write(format, &answer->body);
	metrics_write(metrics, format, &answer->body);
}

static void answer_path(const struct admin *admin, const char *path, const char *accept, struct answer *answer)
{
	if (strcmp(path, "/healthz") == 0)
		answer_state(answer, admin_unhealthy(admin->health, clock_now().mono_ms));
	else if (strcmp(path, "/readyz") == 0)
		answer_state(answer, admin_unready(admin->health));
	else if (strcmp(path, "/metrics") == 0)
		answer_metrics(answer, admin->metrics, accept);
	else
		answer_text(answer, MHD_HTTP_NOT_FOUND, "not found: /metrics, /healthz and /readyz are here");
}

/* Hands the body over to the library. */
static enum MHD_Result send_answer(struct MHD_Connection *connection, struct answer *answer)
{
	char *data;
	size_t size;
	if (buffer_take(&answer->body, &data, &size) != STATUS_OK) return MHD_NO;
	struct MHD_Response *response = MHD_create_response_from_buffer(size, data, MHD_RESPMEM_MUST_FREE);
	if (response == NULL) {
		free(data);
		return MHD_NO;
	}
	(void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, answer->content_type);
	(void)MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	if (answer->code == MHD_HTTP_METHOD_NOT_ALLOWED)
		(void)MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	enum MHD_Result result = MHD_queue_response(connection, answer->code, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result handle(void *context, struct MHD_Connection *connection, const char *path, const char *method,
	const char *version, const char *upload, size_t *upload_size, void **state)
{
	(void)version;
	(void)upload;
	(void)upload_size;
	(void)state;
	const struct admin *admin = context;
	struct answer answer = { 0 };
	buffer_init(&answer.body, ADMIN_BODY_MAX);
	bool is_read = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
	const char *accept = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_ACCEPT);
	if (is_read)
		answer_path(admin, path, accept, &answer);
	else
		answer_text(&answer, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD");
	enum MHD_Result result = send_answer(connection, &answer);
	buffer_deinit(&answer.body);
	return result;
}

static struct MHD_Daemon *start_daemon(struct admin *admin, union admin_address *address)
{
	unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD;
	if (address->any.sa_family == AF_INET6) flags |= MHD_USE_IPv6;
	return MHD_start_daemon(flags, 0, NULL, NULL, handle, admin, MHD_OPTION_SOCK_ADDR, &address->any,
		MHD_OPTION_CONNECTION_LIMIT, (unsigned)ADMIN_CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
		(unsigned)ADMIN_TIMEOUT_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)ADMIN_CONNECTION_MEMORY,
		MHD_OPTION_END);
}

enum status admin_start(const struct admin_options *options, struct admin **out_admin)
{
	union admin_address address;
	if (admin_address_parse(options->listen, &address) != STATUS_OK) return STATUS_INVALID;
	struct admin *admin = calloc(1, sizeof *admin);
	if (admin == NULL) return STATUS_NO_MEMORY;
	admin->health = options->health;
	admin->metrics = options->metrics;
	admin->daemon = start_daemon(admin, &address);
	if (admin->daemon == NULL) {
		free(admin);
		return STATUS_IO;
	}
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(admin->daemon, MHD_DAEMON_INFO_BIND_PORT);
	ASSERT(info != NULL);
	admin->port = info->port;
	*out_admin = admin;
	return STATUS_OK;
}

void admin_stop(struct admin *admin)
{
	if (admin == NULL) return;
	MHD_stop_daemon(admin->daemon);
	free(admin);
}

unsigned admin_port(const struct admin *admin)
{
	return admin->port;
}
