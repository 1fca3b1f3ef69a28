/* Lines into a buffer, the buffer into the file. */
#include "replay/standin_journal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/hash.h"

enum { JOURNAL_BUFFER_MAX = 1 << 20, JOURNAL_FLUSH_AT = 64 << 10, JOURNAL_TEXT_MAX = 1024 };

struct standin_journal {
	int fd; /* owned */
	struct buffer lines;
	uint64_t dropped;
};

enum status standin_journal_open(const char *path, struct standin_journal **out_journal)
{
	struct standin_journal *journal = calloc(1, sizeof *journal);
	if (journal == NULL) return STATUS_NO_MEMORY;
	journal->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if (journal->fd < 0) {
		free(journal);
		return STATUS_IO;
	}
	buffer_init(&journal->lines, JOURNAL_BUFFER_MAX);
	*out_journal = journal;
	return STATUS_OK;
}

void standin_journal_flush(struct standin_journal *journal)
{
	if (journal == NULL) return;
	struct bytes left = buffer_bytes(&journal->lines);
	while (left.size > 0) {
		ssize_t written = write(journal->fd, left.data, left.size);
		if (written < 0 && errno == EINTR) continue;
		if (written <= 0) {
			journal->dropped++;
			break;
		}
		left = bytes_at(left.data + written, left.size - (size_t)written);
	}
	buffer_clear(&journal->lines);
}

void standin_journal_close(struct standin_journal *journal)
{
	if (journal == NULL) return;
	standin_journal_flush(journal);
	buffer_deinit(&journal->lines);
	close(journal->fd);
	free(journal);
}

/* At most JOURNAL_TEXT_MAX bytes, no character cut. */
static struct bytes shortened(struct bytes text)
{
	if (text.size <= JOURNAL_TEXT_MAX) return text;
	size_t size = JOURNAL_TEXT_MAX;
	while (size > 0 && ((unsigned char)text.data[size] & 0xC0) == 0x80)
		size--;
	return bytes_at(text.data, size);
}

void standin_journal_note(struct standin_journal *journal, const struct standin_request *request,
	const struct standin_journal_entry *entry)
{
	if (journal == NULL) return;
	const struct hash_key key = { .k0 = 0, .k1 = 0 };
	struct buffer *lines = &journal->lines;
	if (lines->size > JOURNAL_FLUSH_AT) standin_journal_flush(journal);
	buffer_append_format(lines, "{\"ms\":%" PRId64 ",\"model\":", entry->wall_ms);
	buffer_append_json_string(lines, request->model);
	buffer_append_format(lines, ",\"stream\":%s,\"messages\":%zu,\"text\":", request->is_stream ? "true" : "false",
		request->message_count);
	buffer_append_json_string(lines, shortened(request->text));
	buffer_append_format(lines,
		",\"hash\":\"%016" PRIx64 "\",\"behaviour\":\"%s\",\"status\":%d,\"generation\":\"%s\",\"open\":%zu}\n",
		hash_keyed(key, request->text), behaviour_word(entry->behaviour), entry->plan->status,
		entry->plan->generation_id, entry->open);
}
