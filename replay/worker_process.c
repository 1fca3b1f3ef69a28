/* Settings file, fork, readiness, end. */
#include "replay/worker_process.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/buffer.h"
#include "common/clock.h"
#include "replay/file.h"
#include "replay/listener.h"

_Static_assert(WORKER_PATH_MAX >= PATH_MAX, "what realpath() writes");

enum { PATH_SIZE = 4096, LOG_MAX = 64 << 20, LOG_TAIL = 6000, READY_POLL_MS = 50, ENVIRONMENT_MAX = 4096 };

struct worker_process {
	char folder[PATH_SIZE];
	char settings_path[PATH_SIZE + 32];
	char log_path[PATH_SIZE + 32];
	uint16_t admin_port;
	pid_t pid;  /* 0 = not started, or its end is known */
	int pid_fd; /* owned: readable when the process has ended; -1 = none */
	int exit_code;
};

static bool is_program(const char *path)
{
	return access(path, X_OK) == 0;
}

static bool find_on_path(char out_path[static WORKER_PATH_MAX])
{
	const char *path = getenv("PATH");
	while (path != NULL && path[0] != 0) {
		size_t size = strcspn(path, ":");
		snprintf(out_path, WORKER_PATH_MAX, "%.*s/chat-worker", (int)size, path);
		if (is_program(out_path)) return true;
		path += size;
		if (path[0] == ':') path++;
	}
	return false;
}

static bool find_beside(const char *folder, const char *relative, char out_path[static WORKER_PATH_MAX])
{
	char path[WORKER_PATH_MAX];
	snprintf(path, sizeof path, "%s/%s", folder, relative);
	return realpath(path, out_path) != NULL && is_program(out_path);
}

enum status worker_process_find(const char *given, char out_path[static WORKER_PATH_MAX])
{
	char folder[WORKER_PATH_MAX / 2];
	if (given != NULL) {
		snprintf(out_path, WORKER_PATH_MAX, "%s", given);
		return is_program(given) ? STATUS_OK : STATUS_NOT_FOUND;
	}
	ssize_t size = readlink("/proc/self/exe", folder, sizeof folder - 1);
	if (size > 0) {
		folder[size] = 0;
		char *slash = strrchr(folder, '/');
		if (slash != NULL) *slash = 0;
		if (find_beside(folder, "chat-worker", out_path)) return STATUS_OK;
		if (find_beside(folder, "../worker/chat-worker", out_path)) return STATUS_OK;
	}
	return find_on_path(out_path) ? STATUS_OK : STATUS_NOT_FOUND;
}

static void write_models(const struct worker_process_options *options, FILE *file)
{
	fprintf(file, "  models = [");
	for (size_t i = 0; i < WORKER_MODELS_MAX && options->models[i] != NULL; i++)
		fprintf(file, "%s\"%s\"", i > 0 ? ", " : "", options->models[i]);
	fprintf(file, "];\n");
}

static enum status write_settings(const struct worker_process *worker, const struct worker_process_options *options)
{
	FILE *file = fopen(worker->settings_path, "w");
	if (file == NULL) return STATUS_IO;
	fprintf(file, "kafka = {\n  bootstrap_servers = \"%s\";\n  group_id = \"chat-demo\";\n", options->brokers);
	fprintf(file, "  delivery = \"at_least_once\"; # the sandbox's Kafka has no transactions\n");
	fprintf(file, "  session_timeout_ms = 6000;\n  heartbeat_interval_ms = 500;\n");
	fprintf(file, "  consumer_properties = [\"fetch.wait.max.ms=20\"];\n};\nopenrouter = {\n");
	if (options->base_url != NULL) fprintf(file, "  base_url = \"%s\";\n", options->base_url);
	if (options->first_token_timeout_ms > 0)
		fprintf(file, "  first_token_timeout_ms = %" PRId64 ";\n", options->first_token_timeout_ms);
	write_models(options, file);
	fprintf(file, "};\nadmin = { listen = \"127.0.0.1:%u\"; };\n", (unsigned)worker->admin_port);
	fprintf(file, "log = { format = \"text\"; };\n");
	return fclose(file) == 0 ? STATUS_OK : STATUS_IO;
}

static bool starts_with(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* This process's environment without what would change the worker's settings. The array is the caller's to free;
 * its texts are borrowed, `key_text` too. */
static char **make_environment(char *key_text)
{
	char **environment = calloc(ENVIRONMENT_MAX + 2, sizeof *environment);
	size_t count = 0;
	if (environment == NULL) return NULL;
	for (char **item = environ; *item != NULL && count < ENVIRONMENT_MAX; item++) {
		if (starts_with(*item, "CHAT_WORKER_")) continue;
		if (key_text != NULL && starts_with(*item, "OPENROUTER_API_KEY")) continue;
		environment[count++] = *item;
	}
	if (key_text != NULL) environment[count] = key_text;
	return environment;
}

/* Between fork and exec: nothing but system calls. */
static void run_child(const struct worker_process *worker, const char *program, char **environment, pid_t parent)
{
	char name[] = "chat-worker", command[] = "run", option[] = "-c";
	char *settings = (char *)(uintptr_t)worker->settings_path;
	char *const arguments[] = { name, command, option, settings, NULL };
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (prctl(PR_SET_PDEATHSIG, SIGTERM) != 0 || getppid() != parent) _exit(127);
	int log = open(worker->log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (log < 0 || dup2(log, STDOUT_FILENO) < 0 || dup2(log, STDERR_FILENO) < 0) _exit(127);
	execve(program, arguments, environment);
	_exit(127);
}

static enum status start_child(struct worker_process *worker, const struct worker_process_options *options)
{
	char key_text[600] = "";
	if (options->key != NULL) snprintf(key_text, sizeof key_text, "OPENROUTER_API_KEY=%s", options->key);
	char **environment = make_environment(options->key != NULL ? key_text : NULL);
	if (environment == NULL) return STATUS_NO_MEMORY;
	pid_t parent = getpid();
	pid_t pid = fork();
	if (pid == 0) run_child(worker, options->program, environment, parent);
	free(environment);
	if (pid < 0) return STATUS_IO;
	worker->pid = pid;
	worker->pid_fd = pidfd_open(pid, 0);
	return worker->pid_fd >= 0 ? STATUS_OK : STATUS_IO;
}

static enum status prepare(struct worker_process *worker, const struct worker_process_options *options)
{
	const char *base = getenv("TMPDIR");
	int size = snprintf(worker->folder, sizeof worker->folder, "%s/chat-demo.XXXXXX", base != NULL ? base : "/tmp");
	if (size < 0 || (size_t)size >= sizeof worker->folder || mkdtemp(worker->folder) == NULL) {
		worker->folder[0] = 0;
		return STATUS_IO;
	}
	snprintf(worker->settings_path, sizeof worker->settings_path, "%s/chat-worker.conf", worker->folder);
	snprintf(worker->log_path, sizeof worker->log_path, "%s/chat-worker.log", worker->folder);
	enum status status = listener_free_port(&worker->admin_port);
	return status == STATUS_OK ? write_settings(worker, options) : status;
}

enum status worker_process_start(const struct worker_process_options *options, struct worker_process **out_worker)
{
	struct worker_process *worker = calloc(1, sizeof *worker);
	if (worker == NULL) return STATUS_NO_MEMORY;
	worker->pid_fd = -1;
	enum status status = prepare(worker, options);
	if (status == STATUS_OK) status = start_child(worker, options);
	if (status == STATUS_OK) {
		*out_worker = worker;
		return STATUS_OK;
	}
	fprintf(stderr, "chat-replay: %s cannot be started: %s\n", options->program, strerror(errno));
	worker_process_free(worker);
	return status;
}

/* Waits for the end of the process; false when it still runs after `timeout_ms`. */
static bool wait_for_exit(struct worker_process *worker, int timeout_ms)
{
	struct pollfd end = { .fd = worker->pid_fd, .events = POLLIN };
	int state = 0;
	if (worker->pid == 0) return true;
	if (poll(&end, 1, timeout_ms) != 1) return false;
	if (waitpid(worker->pid, &state, 0) != worker->pid) return false;
	worker->exit_code = WIFEXITED(state) ? WEXITSTATUS(state) : 128 + WTERMSIG(state);
	worker->pid = 0;
	return true;
}

bool worker_process_is_alive(struct worker_process *worker)
{
	return !wait_for_exit(worker, 0);
}

/* The status of a GET, 0 when there is no answer. */
static int get_status(uint16_t port, const char *path)
{
	const struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)
	};
	const struct timeval limit = { .tv_sec = 1 };
	char text[128];
	int status = 0;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0) return 0;
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	int size = snprintf(text, sizeof text, "GET %s HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n", path);
	if (connect(fd, (const struct sockaddr *)&address, sizeof address) == 0 &&
		send(fd, text, (size_t)size, MSG_NOSIGNAL) == size) {
		ssize_t got = recv(fd, text, sizeof text - 1, 0);
		text[got > 0 ? got : 0] = 0;
		if (sscanf(text, "HTTP/1.%*1d %3d", &status) != 1) status = 0;
	}
	close(fd);
	return status;
}

void worker_process_print_log(const struct worker_process *worker)
{
	struct buffer log;
	buffer_init(&log, LOG_MAX);
	if (file_read(worker->log_path, &log) == STATUS_OK) {
		struct bytes text = buffer_bytes(&log);
		size_t start = text.size > LOG_TAIL ? text.size - LOG_TAIL : 0;
		fprintf(stderr, "--- end of the worker's log\n%.*s---\n", (int)(text.size - start), text.data + start);
	}
	buffer_deinit(&log);
}

static enum status explain(const struct worker_process *worker, enum status status)
{
	if (status == STATUS_CLOSED)
		fprintf(stderr, "chat-replay: chat-worker ended with exit code %d\n", worker->exit_code);
	if (status == STATUS_TIMEOUT) fprintf(stderr, "chat-replay: chat-worker did not get ready in time\n");
	worker_process_print_log(worker);
	return status;
}

enum status worker_process_wait_ready(struct worker_process *worker, int64_t timeout_ms)
{
	int64_t until_ms = clock_now().mono_ms + timeout_ms;
	while (clock_now().mono_ms < until_ms) {
		if (get_status(worker->admin_port, "/readyz") == 200) return STATUS_OK;
		if (wait_for_exit(worker, READY_POLL_MS)) return explain(worker, STATUS_CLOSED);
	}
	return explain(worker, STATUS_TIMEOUT);
}

enum status worker_process_stop(struct worker_process *worker, int64_t timeout_ms, int *out_code)
{
	enum status status = STATUS_OK;
	if (worker->pid != 0) (void)kill(worker->pid, SIGTERM);
	if (!wait_for_exit(worker, (int)timeout_ms)) {
		status = STATUS_TIMEOUT;
		worker_process_kill(worker);
		(void)wait_for_exit(worker, -1);
	}
	*out_code = worker->exit_code;
	return status;
}

void worker_process_kill(struct worker_process *worker)
{
	if (worker->pid != 0) (void)kill(worker->pid, SIGKILL);
}

const char *worker_process_folder(const struct worker_process *worker)
{
	return worker->folder;
}

void worker_process_free(struct worker_process *worker)
{
	if (worker == NULL) return;
	worker_process_kill(worker);
	(void)wait_for_exit(worker, -1);
	if (worker->pid_fd >= 0) close(worker->pid_fd);
	if (worker->folder[0] != 0) {
		(void)unlink(worker->settings_path);
		(void)unlink(worker->log_path);
		(void)rmdir(worker->folder);
	}
	free(worker);
}
