#include "worker/edge/secret.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/assertion.h"

static const char variable[] = "OPENROUTER_API_KEY";
static const char file_variable[] = "OPENROUTER_API_KEY_FILE";

/* A whole page of its own, so that locking and leaving out of dumps concern nothing else. */
struct secret {
	size_t size;
	char key[SECRET_SIZE_MAX];
};

static size_t page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

static struct secret *secret_map(void)
{
	_Static_assert(sizeof(struct secret) <= 4096, "one page");
	void *page = mmap(NULL, page_size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED) return NULL;
	(void)mlock(page, page_size());
	(void)madvise(page, page_size(), MADV_DONTDUMP);
	return page;
}

void secret_free(struct secret *secret)
{
	if (secret == NULL) return;
	explicit_bzero(secret, sizeof *secret);
	(void)munmap(secret, page_size());
}

/* /proc/PID/environ shows the memory the strings were in at the start, so unsetting alone would not do. */
static void wipe_variable(const char *name)
{
	char *value = getenv(name);
	if (value == NULL) return;
	explicit_bzero(value, strlen(value));
	(void)unsetenv(name);
}

static const char *broken_rule(struct bytes key)
{
	if (key.size == 0) return "is empty";
	if (key.size > SECRET_SIZE_MAX) return "is longer than 512 bytes";
	for (size_t i = 0; i < key.size; i++) {
		unsigned char one = (unsigned char)key.data[i];
		if (one == '\n' || one == '\r') return "holds a line break";
		if (one == ' ' || one == '\t') return "holds a blank";
		if (one < ' ' || one == 0x7f) return "holds a control character";
		if (one > 0x7f) return "holds a byte that is not ASCII";
	}
	return NULL;
}

static enum status keep(struct bytes key, const char *name, struct secret *secret, struct buffer *out_problem)
{
	const char *rule = broken_rule(key);
	if (rule != NULL) {
		buffer_append_format(out_problem, "%s: the key %s", name, rule);
		return STATUS_INVALID;
	}
	memcpy(secret->key, key.data, key.size);
	secret->size = key.size;
	return STATUS_OK;
}

static enum status keep_from_file(const char *path, struct secret *secret, struct buffer *out_problem)
{
	char text[SECRET_SIZE_MAX + 2]; /* room for the newline, and for one byte too many */
	FILE *file = fopen(path, "re");
	if (file == NULL) {
		buffer_append_format(out_problem, "%s: cannot open the file: %s", file_variable, strerror(errno));
		return STATUS_IO;
	}
	(void)setvbuf(file, NULL, _IONBF, 0);
	size_t size = fread(text, 1, sizeof text, file);
	bool has_failed = ferror(file) != 0;
	(void)fclose(file);
	enum status status = STATUS_IO;
	if (has_failed) {
		buffer_append_format(out_problem, "%s: cannot read the file", file_variable);
	} else {
		if (size > 0 && text[size - 1] == '\n') size--;
		status = keep(bytes_at(text, size), file_variable, secret, out_problem);
	}
	explicit_bzero(text, sizeof text);
	return status;
}

static enum status read_into(struct secret *secret, struct buffer *out_problem)
{
	const char *value = getenv(variable);
	const char *path = getenv(file_variable);
	if (value != NULL && path != NULL) {
		buffer_append_format(out_problem, "%s and %s are both set: give one", variable, file_variable);
		return STATUS_INVALID;
	}
	if (value != NULL) return keep(bytes_of(value), variable, secret, out_problem);
	if (path != NULL) return keep_from_file(path, secret, out_problem);
	buffer_append_format(out_problem, "%s: is not set, nor is %s: the key of the model service is required",
		variable, file_variable);
	return STATUS_NOT_FOUND;
}

enum status secret_read(struct secret **out_secret, struct buffer *out_problem)
{
	struct secret *secret = secret_map();
	enum status status = secret == NULL ? STATUS_NO_MEMORY : read_into(secret, out_problem);
	wipe_variable(variable);
	wipe_variable(file_variable);
	if (status == STATUS_OK)
		*out_secret = secret;
	else
		secret_free(secret);
	return status;
}

struct bytes secret_bytes(const struct secret *secret)
{
	ASSERT(secret->size > 0);
	return bytes_at(secret->key, secret->size);
}

void secret_bearer(const struct secret *secret, struct buffer *out_header)
{
	buffer_append_text(out_header, "Bearer ");
	buffer_append(out_header, secret_bytes(secret));
}

void secret_harden_process(void)
{
	static const char *const names[] = { "SSLKEYLOGFILE", "NETRC", "http_proxy", "https_proxy", "ftp_proxy",
		"all_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "ALL_PROXY", "NO_PROXY" };
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	const struct rlimit none = { 0, 0 };
	(void)setrlimit(RLIMIT_CORE, &none);
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		(void)unsetenv(names[i]);
}
