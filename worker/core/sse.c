/* Server-sent events: see the header. One pass; a line or event that lies whole inside the piece is never copied. */
#include "worker/core/sse.h"

#include <string.h>

#include "common/assertion.h"

/* One feeding. */
struct sse_run {
	struct sse *sse;
	struct bytes only; /* the only data line of the event so far, still in borrowed memory; else BYTES_NONE */
	sse_event_fn on_event;
	void *context;
};

void sse_init(struct sse *sse, size_t event_size_max)
{
	ASSERT(sse != NULL);
	ASSERT(event_size_max > 0);
	*sse = (struct sse){ .has_data = false };
	buffer_init(&sse->line, event_size_max);
	buffer_init(&sse->data, event_size_max);
}

void sse_deinit(struct sse *sse)
{
	ASSERT(sse != NULL);
	buffer_deinit(&sse->line);
	buffer_deinit(&sse->data);
}

/* Moves borrowed data into the event's own memory. */
static void run_keep(struct sse_run *run)
{
	ASSERT(run != NULL);
	if (!bytes_is_given(run->only)) return;
	ASSERT(run->sse->data.size == 0);
	buffer_append(&run->sse->data, run->only);
	run->only = BYTES_NONE;
}

static void run_data_line(struct sse_run *run, struct bytes value)
{
	ASSERT(value.data != NULL);
	struct sse *sse = run->sse;
	if (!sse->has_data) {
		ASSERT(!bytes_is_given(run->only));
		sse->has_data = true;
		run->only = value;
		return;
	}
	run_keep(run);
	buffer_append_char(&sse->data, '\n');
	buffer_append(&sse->data, value);
}

static enum status run_event(struct sse_run *run)
{
	ASSERT(run->on_event != NULL);
	ASSERT(!bytes_is_given(run->only) || run->sse->data.size == 0);
	struct sse *sse = run->sse;
	if (!sse->has_data) return STATUS_OK;
	if (buffer_status(&sse->data) != STATUS_OK) return buffer_status(&sse->data);
	struct bytes data = bytes_is_given(run->only) ? run->only : buffer_bytes(&sse->data);
	enum status status = run->on_event(run->context, data);
	sse->has_data = false;
	run->only = BYTES_NONE;
	buffer_clear(&sse->data);
	return status;
}

static struct bytes skip(struct bytes view, size_t size)
{
	ASSERT(size <= view.size);
	return bytes_at(view.data + size, view.size - size);
}

/* A line without its end. */
static enum status run_line(struct sse_run *run, struct bytes line)
{
	ASSERT(line.data != NULL);
	struct sse *sse = run->sse;
	if (line.size > sse->line.size_max) return STATUS_TOO_LARGE;
	if (!sse->began) {
		sse->began = true;
		struct bytes mark = BYTES_LITERAL("\xef\xbb\xbf");
		if (bytes_starts_with(line, mark)) line = skip(line, mark.size);
	}
	if (line.size == 0) return run_event(run);
	if (line.size < 4 || memcmp(line.data, "data", 4) != 0) return STATUS_OK;

	struct bytes value = skip(line, 4);
	if (value.size > 0) {
		if (value.data[0] != ':') return STATUS_OK;
		value = skip(value, value.size > 1 && value.data[1] == ' ' ? 2 : 1);
	}
	run_data_line(run, value);
	return buffer_status(&sse->data);
}

/* A line that ends in this piece and may have begun in an earlier one. */
static enum status run_line_end(struct sse_run *run, struct bytes rest)
{
	ASSERT(rest.data != NULL);
	struct buffer *begun = &run->sse->line;
	if (begun->size == 0) return run_line(run, rest);
	buffer_append(begun, rest);
	if (buffer_status(begun) != STATUS_OK) return buffer_status(begun);
	enum status status = run_line(run, buffer_bytes(begun));
	/* The value may still be wanted, and the memory is about to be used again. */
	run_keep(run);
	begun->size = 0;
	return status == STATUS_OK ? buffer_status(&run->sse->data) : status;
}

/* The first LF or CR at or after `at`, or `end`. `*line_feed` is the first LF at or after `at` as far as it is known, so
 * that a piece without any is searched once. */
static const char *line_end(const char *at, const char *end, const char **line_feed)
{
	ASSERT(at < end);
	ASSERT(line_feed != NULL);
	if (*line_feed == NULL || *line_feed < at) {
		*line_feed = memchr(at, '\n', (size_t)(end - at));
		if (*line_feed == NULL) *line_feed = end;
	}
	ASSERT(*line_feed >= at && *line_feed <= end);
	const char *carriage_return = memchr(at, '\r', (size_t)(*line_feed - at));
	return carriage_return != NULL ? carriage_return : *line_feed;
}

static enum status run_piece(struct sse_run *run, const char *at, const char *end)
{
	ASSERT(at <= end);
	const char *line_feed = NULL;
	while (at < end) {
		/* The second half of CRLF, perhaps of the last piece. */
		if (run->sse->after_cr && *at == '\n') at++;
		run->sse->after_cr = false;
		if (at == end) break;

		const char *stop = line_end(at, end, &line_feed);
		if (stop == end) {
			/* What is unfinished is kept; a kept line and borrowed data never meet. */
			run_keep(run);
			buffer_append(&run->sse->line, bytes_at(at, (size_t)(end - at)));
			return buffer_status(&run->sse->line);
		}
		run->sse->after_cr = *stop == '\r';
		enum status status = run_line_end(run, bytes_at(at, (size_t)(stop - at)));
		if (status != STATUS_OK) return status;
		at = stop + 1;
	}
	return STATUS_OK;
}

enum status sse_feed(struct sse *sse, struct bytes piece, sse_event_fn on_event, void *context)
{
	ASSERT(sse != NULL);
	ASSERT(on_event != NULL);
	if (piece.size == 0) return STATUS_OK;
	struct sse_run run = { .sse = sse, .on_event = on_event, .context = context };
	enum status status = run_piece(&run, piece.data, piece.data + piece.size);
	run_keep(&run);
	return status == STATUS_OK ? buffer_status(&sse->data) : status;
}

enum status sse_finish(struct sse *sse, sse_event_fn on_event, void *context)
{
	ASSERT(sse != NULL);
	ASSERT(on_event != NULL);
	struct sse_run run = { .sse = sse, .on_event = on_event, .context = context };
	enum status status = STATUS_OK;
	if (sse->line.size > 0) status = run_line_end(&run, bytes_at("", 0));
	if (status == STATUS_OK) status = run_event(&run);
	return status;
}
