/* Seeds in several processes: see the header. */
#include "jobs.h"

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/assertion.h"

static pid_t begin(int (*run_piece)(uint64_t from, uint64_t count), uint64_t from, uint64_t count)
{
	fflush(stdout);
	pid_t child = fork();
	ASSERT(child >= 0);
	if (child > 0) return child;
	int result = run_piece(from, count);
	fflush(stdout);
	_exit(result);
}

static int end(pid_t child)
{
	int result;
	pid_t ended = waitpid(child, &result, 0);
	ASSERT(ended == child);
	return WIFEXITED(result) ? WEXITSTATUS(result) : -1;
}

int jobs_run(int (*run_piece)(uint64_t from, uint64_t count), uint64_t from, uint64_t count, uint64_t jobs)
{
	pid_t children[JOBS_MAX];
	ASSERT(jobs > 0);
	ASSERT(jobs <= JOBS_MAX);
	for (uint64_t job = 0; job < jobs; job++) {
		uint64_t begins = count * job / jobs, ends = count * (job + 1) / jobs;
		children[job] = begin(run_piece, from + begins, ends - begins);
	}
	int worst = 0;
	for (uint64_t job = 0; job < jobs; job++) {
		int result = end(children[job]);
		if (result != 0 && worst == 0) worst = result;
	}
	return worst;
}
