/* From libcurl's result codes to the ends the project knows: the only place where a CURLcode means something.
 *
 * What libcurl was told by our own callbacks (42, 23) never gets here: the transfer knows better why it stopped.
 * Time-outs are libcurl's connect timer and its backstop; all other clocks are ours. Pure; any thread. */
#ifndef WORKER_EDGE_UPSTREAM_END_H
#define WORKER_EDGE_UPSTREAM_END_H

#include <curl/curl.h>
#include <stdbool.h>

#include "worker/core/failure.h"

/* `sent`: the request had begun to be sent, so a time-out is no longer one of connecting. `begun`: a status line had
 * come, so a connection that broke has cut a response. A lack of memory is believed only before the request. Codes that
 * are not in the table are TRANSPORT_INTERNAL. */
enum transport_end upstream_end_of(CURLcode code, bool sent, bool begun);

#endif
