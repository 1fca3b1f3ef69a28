#include "worker/edge/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/assertion.h"

static const char variable[] = "OPENROUTER_API_KEY";
static const char file_variable[] = "OPENROUTER_API_KEY_FILE";

struct key {
	size_t size; /* 0 = none */
	char text[SECRET_SIZE_MAX];
};

/* A whole page of its own, so that locking and leaving out of dumps concern nothing else. */
struct secret {
	struct key present, former;
	char *file; /* owned; NULL = the key came from the variable */
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
	free(secret->file);
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

static enum status keep(struct bytes text, const char *name, struct key *out_key, struct buffer *out_problem)
{
	const char *rule = broken_rule(text);
	if (rule != NULL) {
		buffer_append_format(out_problem, "%s: the key %s", name, rule);
		return STATUS_INVALID;
	}
	memcpy(out_key->text, text.data, text.size);
	out_key->size = text.size;
	return STATUS_OK;
}

static enum status tell_file(const char *what, struct buffer *out_problem)
{
	buffer_append_format(out_problem, "%s: cannot %s the file: %s", file_variable, what, strerror(errno));
	return STATUS_IO;
}

static enum status keep_from_descriptor(int fd, struct key *out_key, struct buffer *out_problem)
{
	char text[SECRET_SIZE_MAX + 2]; /* room for the newline, and for one byte too many */
	size_t size = 0;
	ssize_t got;
	while ((got = read(fd, text + size, sizeof text - size)) > 0)
		size += (size_t)got;
	if (got == 0 && size > 0 && text[size - 1] == '\n') size--;
	enum status status = got < 0 ? tell_file("read", out_problem)
				     : keep(bytes_at(text, size), file_variable, out_key, out_problem);
	explicit_bzero(text, sizeof text);
	return status;
}

/* A file that holds the key for the first time may be a pipe, which is waited for. */
static enum status keep_from_file(const char *path, struct key *out_key, struct buffer *out_problem)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) return tell_file("open", out_problem);
	enum status status = keep_from_descriptor(fd, out_key, out_problem);
	(void)close(fd);
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
	if (value != NULL) return keep(bytes_of(value), variable, &secret->present, out_problem);
	if (path != NULL) {
		secret->file = strdup(path);
		if (secret->file == NULL) return STATUS_NO_MEMORY;
		return keep_from_file(path, &secret->present, out_problem);
	}
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

static struct bytes key_bytes(const struct key *key)
{
	return key->size == 0 ? BYTES_NONE : bytes_at(key->text, key->size);
}

struct bytes secret_bytes(const struct secret *secret)
{
	ASSERT(secret->present.size > 0);
	return key_bytes(&secret->present);
}

struct bytes secret_former(const struct secret *secret)
{
	return key_bytes(&secret->former);
}

bool secret_has_file(const struct secret *secret)
{
	return secret->file != NULL;
}

/* Only a file: a pipe has nothing more to say, and would be waited for. */
static int open_again(const char *path, struct buffer *out_problem)
{
	struct stat about;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0) {
		(void)tell_file("open", out_problem);
		return -1;
	}
	if (fstat(fd, &about) == 0 && S_ISREG(about.st_mode)) return fd;
	buffer_append_format(out_problem, "%s: is no file that could be read again", file_variable);
	(void)close(fd);
	return -1;
}

static enum status keep_again(const char *path, struct key *out_key, struct buffer *out_problem)
{
	int fd = open_again(path, out_problem);
	if (fd < 0) return STATUS_IO;
	enum status status = keep_from_descriptor(fd, out_key, out_problem);
	(void)close(fd);
	return status;
}

enum status secret_read_again(struct secret *secret, struct buffer *out_problem)
{
	if (secret->file == NULL) return STATUS_NOT_FOUND;
	struct secret *page = secret_map();
	if (page == NULL) return STATUS_NO_MEMORY;
	enum status status = keep_again(secret->file, &page->present, out_problem);
	if (status == STATUS_OK && bytes_equal(key_bytes(&page->present), secret_bytes(secret))) status = STATUS_EMPTY;
	if (status == STATUS_OK) {
		secret->former = secret->present;
		secret->present = page->present;
	}
	secret_free(page);
	return status;
}

static enum status mask_one(struct redaction *redaction, struct bytes key)
{
	/* What is too short or too long to be masked is no key. */
	return redaction_add(redaction, bytes_trim(key)) == STATUS_NO_MEMORY ? STATUS_NO_MEMORY : STATUS_OK;
}

static enum status mask_file(struct redaction *redaction, const char *path)
{
	char text[SECRET_SIZE_MAX + 2];
	struct buffer unsaid;
	buffer_init(&unsaid, 1024);
	int fd = open_again(path, &unsaid);
	buffer_deinit(&unsaid);
	if (fd < 0) return STATUS_OK;
	ssize_t size = read(fd, text, sizeof text);
	(void)close(fd);
	enum status status = size <= 0 ? STATUS_OK : mask_one(redaction, bytes_at(text, (size_t)size));
	explicit_bzero(text, sizeof text);
	return status;
}

enum status secret_mask(struct redaction *redaction)
{
	const char *value = getenv(variable);
	const char *path = getenv(file_variable);
	enum status status = value == NULL ? STATUS_OK : mask_one(redaction, bytes_of(value));
	return status == STATUS_OK && path != NULL ? mask_file(redaction, path) : status;
}

void secret_harden_process(void)
{
	static const char *const names[] = { "SSLKEYLOGFILE", "NETRC", "http_proxy", "https_proxy", "ftp_proxy",
		"all_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "ALL_PROXY", "NO_PROXY" };
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	const struct rlimit none = { 0, 0 };
	(void)setrlimit(RLIMIT_CORE, &none);
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		(void)unsetenv(names[i]);
}
