/* How long something took lately: a histogram that forgets, asked for its quantiles.
 *
 * Durations are counted in buckets that are an eighth of their octave wide; so a quantile is told as the upper end of
 * its bucket: never less than the true one, and more by less than an eighth of it (below 16 ms it is exact). Longer
 * than LATENCY_MAX_MS counts as that long.
 *
 * It follows changes: when LATENCY_SAMPLES_MAX samples are in it, each counts for half from then on. So the youngest
 * half to whole of that number has most of the weight, and what was 1,000 samples ago has next to none. It knows no
 * time: without samples it stays as it is.
 *
 * What was ended before its time was up is worth something, too: it took at least so long. Left out, a model that
 * hangs would look as fast as the few answers it still gives; taken as that long, a limit derived from a quantile
 * could only fall, since nothing can be seen to take longer. So such a sample is spread over all that is longer in
 * the histogram, in proportion (as Efron's redistribution to the right does); if nothing is, it goes one bucket
 * further, and a limit that is too short climbs by an eighth at a time.
 *
 * Plain value, no allocation; owner: whoever embeds it. Nothing blocks or fails. */
#ifndef WORKER_CORE_LATENCY_H
#define WORKER_CORE_LATENCY_H

#include <stdint.h>

enum {
	LATENCY_MAX_MS = (1 << 20) - 1, /* more than 17 minutes */
	LATENCY_SAMPLES_MIN = 20,       /* fewer tell nothing */
	LATENCY_SAMPLES_MAX = 256,      /* then all that is there is halved */
	LATENCY_BUCKETS = 144,          /* of 0 … LATENCY_MAX_MS: 16 of 1 ms, then 8 an octave */
	LATENCY_SAMPLE = 1024,          /* the weight of a new sample, so that halves and shares are not lost */
};

struct latency {
	uint32_t weights[LATENCY_BUCKETS];
	uint32_t total; /* of the weights */
};

/* Empty. */
void latency_init(struct latency *latency);

/* It took so long; negative counts as 0. */
void latency_note(struct latency *latency, int64_t duration_ms);

/* It was ended after so long, for a reason that has nothing to do with how long it would have taken. */
void latency_note_at_least(struct latency *latency, int64_t duration_ms);

/* So many of a thousand took no longer, 1 ≤ permille ≤ 1000. -1 while there are too few samples. */
int64_t latency_quantile(const struct latency *latency, int permille);

#endif
