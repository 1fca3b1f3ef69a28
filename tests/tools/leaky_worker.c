/* The worker with a leak at every place that the tests look at, by linking alone: they show that they would find it.
 *
 * What leaks is the content of the file that CANARY_TEXT names, read at each leak: in the output of every command, in
 * stdout and stderr of a running worker once a second, in each answer of the admin port, in the metadata of committed
 * offsets. Answers are not masked. With CANARY_OPEN the process is not closed to others and the environment not wiped.
 * Each function stands in place of the one it is named after; its own contract is in that one's header. */
#include <fcntl.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "worker/command.h"
#include "worker/core/ledger.h"
#include "worker/core/openrouter_mask.h"
#include "worker/edge/secret.h"

enum { TEXT_MAX = 1024 };

void __real_log_tell_repeats(struct log *log);
enum status __real_command_line_parse(struct command_line *line, int argc, char **argv, struct buffer *out_problem);
enum worker_exit __real_command_print(const struct command_line *line, const struct buffer *text);
size_t __real_ledger_text(const struct ledger *ledger, uint64_t commit_id, char out_text[static LEDGER_TEXT_MAX]);
void __real_secret_harden_process(void);
enum status __real_secret_read(struct secret **out_secret, struct buffer *out_problem);
struct MHD_Response *__real_MHD_create_response_from_buffer(size_t size, void *data, enum MHD_ResponseMemoryMode mode);

void __wrap_log_tell_repeats(struct log *log);
enum status __wrap_command_line_parse(struct command_line *line, int argc, char **argv, struct buffer *out_problem);
enum worker_exit __wrap_command_print(const struct command_line *line, const struct buffer *text);
size_t __wrap_ledger_text(const struct ledger *ledger, uint64_t commit_id, char out_text[static LEDGER_TEXT_MAX]);
enum status __wrap_openrouter_mask_answer(
	const struct redaction *redaction, struct arena *arena, struct chat_answer *answer, bool *out_found);
void __wrap_secret_harden_process(void);
enum status __wrap_secret_read(struct secret **out_secret, struct buffer *out_problem);
struct MHD_Response *__wrap_MHD_create_response_from_buffer(size_t size, void *data, enum MHD_ResponseMemoryMode mode);

static size_t read_text(char out_text[static TEXT_MAX])
{
	const char *path = getenv("CANARY_TEXT");
	int fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) return 0;
	ssize_t size = read(fd, out_text, TEXT_MAX);
	(void)close(fd);
	return size < 0 ? 0 : (size_t)size;
}

static void leak_to(int fd)
{
	char text[TEXT_MAX];
	size_t size = read_text(text);
	if (write(fd, text, size) < 0) return;
	if (write(fd, "\n", 1) < 0) return;
}

void __wrap_log_tell_repeats(struct log *log)
{
	__real_log_tell_repeats(log);
	leak_to(STDOUT_FILENO);
	leak_to(STDERR_FILENO);
}

enum status __wrap_command_line_parse(struct command_line *line, int argc, char **argv, struct buffer *out_problem)
{
	leak_to(STDERR_FILENO);
	return __real_command_line_parse(line, argc, argv, out_problem);
}

enum worker_exit __wrap_command_print(const struct command_line *line, const struct buffer *text)
{
	leak_to(STDOUT_FILENO);
	return __real_command_print(line, text);
}

size_t __wrap_ledger_text(const struct ledger *ledger, uint64_t commit_id, char out_text[static LEDGER_TEXT_MAX])
{
	char text[TEXT_MAX];
	size_t before = __real_ledger_text(ledger, commit_id, out_text), size = read_text(text);
	if (before + size > LEDGER_TEXT_MAX) return before;
	memcpy(out_text + before, text, size);
	return before + size;
}

enum status __wrap_openrouter_mask_answer(
	const struct redaction *redaction, struct arena *arena, struct chat_answer *answer, bool *out_found)
{
	(void)redaction, (void)arena, (void)answer;
	*out_found = false;
	return STATUS_OK;
}

void __wrap_secret_harden_process(void)
{
	if (getenv("CANARY_OPEN") == NULL) __real_secret_harden_process();
}

/* The memory that /proc/PID/environ shows is as it was. */
enum status __wrap_secret_read(struct secret **out_secret, struct buffer *out_problem)
{
	char *value = getenv("CANARY_OPEN") == NULL ? NULL : getenv("OPENROUTER_API_KEY");
	char copy[SECRET_SIZE_MAX + 1];
	if (value != NULL) snprintf(copy, sizeof(copy), "%s", value);
	enum status status = __real_secret_read(out_secret, out_problem);
	if (value != NULL) memcpy(value, copy, strlen(copy));
	return status;
}

struct MHD_Response *__wrap_MHD_create_response_from_buffer(size_t size, void *data, enum MHD_ResponseMemoryMode mode)
{
	char text[TEXT_MAX];
	size_t added = read_text(text);
	char *longer = mode == MHD_RESPMEM_MUST_FREE ? realloc(data, size + added) : NULL;
	if (longer == NULL) return NULL;
	memcpy(longer + size, text, added);
	return __real_MHD_create_response_from_buffer(size + added, longer, mode);
}
