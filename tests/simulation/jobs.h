/* Seeds in several processes at once, since one world after the other uses one processor. */
#ifndef SIMULATION_JOBS_H
#define SIMULATION_JOBS_H

#include <stdint.h>

enum { JOBS_MAX = 64 };

/* Runs `count` seeds in as many pieces as there are jobs (1 … JOBS_MAX), each piece in a process of its own. `run_piece` gets the first
 * seed and how many; it returns 0, or what the process exits with. Returns 0 only if all did; -1 when one was killed. */
int jobs_run(int (*run_piece)(uint64_t from, uint64_t count), uint64_t from, uint64_t count, uint64_t jobs);

#endif
