/* Whole files and streams into memory, bounded by the buffer that they go to.
 *
 * Ownership: the buffer is the caller's, also after a failure, when it holds what was read so far.
 * Threads: any. Blocks as reading does. */
#ifndef REPLAY_FILE_H
#define REPLAY_FILE_H

#include <stdio.h>

#include "common/buffer.h"

/* Appends all of `stream` to `out`. STATUS_IO, or what buffer_status() says. */
NODISCARD enum status file_read_stream(FILE *stream, struct buffer *out);

/* The same for the file at `path`. STATUS_NOT_FOUND: it cannot be opened, errno says why. */
NODISCARD enum status file_read(const char *path, struct buffer *out);

#endif
