#include "worker/edge/signals.h"

#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum status signals_open(struct signals *signals, bool takes_hangup)
{
	sigset_t set;
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	if (takes_hangup) (void)sigaddset(&set, SIGHUP);
	if (signal(SIGPIPE, SIG_IGN) == SIG_ERR) return STATUS_IO;
	if (pthread_sigmask(SIG_BLOCK, &set, NULL) != 0) return STATUS_IO;
	int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (fd < 0) return STATUS_IO;
	*signals = (struct signals){ .fd = fd };
	return STATUS_OK;
}

void signals_close(struct signals *signals)
{
	(void)close(signals->fd);
	signals->fd = -1;
}

bool signals_take(struct signals *signals)
{
	struct signalfd_siginfo info;
	unsigned before = signals->count;
	while (read(signals->fd, &info, sizeof info) == (ssize_t)sizeof info) {
		if (info.ssi_signo == SIGHUP)
			signals->has_hangup = true;
		else if (++signals->count > 1)
			_exit(1);
	}
	return before == 0 && signals->count == 1;
}

bool signals_take_hangup(struct signals *signals)
{
	bool has_hangup = signals->has_hangup;
	signals->has_hangup = false;
	return has_hangup;
}
