/* Error objects of the upstream: from JSON to the signs of the failure table.
 *
 * An error is told in one of three places: as the whole body, as an event of a stream, or inside the first choice (with
 * finish_reason "error", perhaps beside partial text). Its texts are looked at here and go nowhere: they may hold what
 * users wrote. Pure; any thread. */
#ifndef WORKER_CORE_OPENROUTER_ERROR_H
#define WORKER_CORE_OPENROUTER_ERROR_H

#include <yyjson.h>

#include "worker/core/failure.h"

/* Whether `root`, a whole body or an event, tells an error; then `sign` is completed: the caller has set http_status,
 * retry_after_ms and reset_after_ms (which stay when they are not -1) and the rest to its zero. `now_ms` is wall time, for
 * dates in the error; 0 = not known. Views are borrowed from the document. */
bool openrouter_error_read(yyjson_val *root, int64_t now_ms, struct failure_sign *sign);

/* Which provider the error in `root` speaks of, borrowed from the document; BYTES_NONE = not told. An error with an
 * `availability` speaks of all that could have served the model, so it names none. */
struct bytes openrouter_error_provider(yyjson_val *root);

#endif
