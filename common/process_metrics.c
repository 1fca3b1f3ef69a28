#include "common/process_metrics.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum process_value { CPU, RESIDENT, VIRTUAL, THREADS, START, OPEN_FDS, MAX_FDS, VALUE_COUNT };

static const struct process_metric table[VALUE_COUNT] = {
	[CPU] = { "process_cpu_seconds_total", METRIC_COUNTER, "seconds", "User and system CPU time spent." },
	[RESIDENT] = { "process_resident_memory_bytes", METRIC_GAUGE, "bytes", "Resident memory." },
	[VIRTUAL] = { "process_virtual_memory_bytes", METRIC_GAUGE, "bytes", "Virtual memory." },
	[THREADS] = { "process_threads", METRIC_GAUGE, "", "Threads." },
	[START] = { "process_start_time_seconds", METRIC_GAUGE, "seconds", "Unix time of the start." },
	[OPEN_FDS] = { "process_open_fds", METRIC_GAUGE, "", "Open file descriptors." },
	[MAX_FDS] = { "process_max_fds", METRIC_GAUGE, "", "Limit of open file descriptors." },
};

const struct process_metric *process_metrics_table(size_t *out_count)
{
	*out_count = VALUE_COUNT;
	return table;
}

static size_t read_file(const char *path, char *text, size_t size)
{
	FILE *file = fopen(path, "re");
	if (file == NULL) return 0;
	size_t read = fread(text, 1, size - 1, file);
	text[read] = '\0';
	(void)fclose(file);
	return read;
}

/* The values of /proc/self/stat, by their number in proc(5); the name in parentheses may hold anything. */
static bool read_stat(double fields[static 53])
{
	char text[2048];
	if (read_file("/proc/self/stat", text, sizeof text) == 0) return false;
	char *place = strrchr(text, ')');
	if (place == NULL || strlen(place) < 4) return false;
	place += 3;
	for (int number = 4; number <= 52; number++) {
		place = strchr(place, ' ');
		if (place == NULL) return number > 24;
		fields[number] = strtod(place, NULL);
		place++;
	}
	return true;
}

static double boot_time_s(void)
{
	FILE *file = fopen("/proc/stat", "re");
	if (file == NULL) return 0;
	char line[256];
	double seconds = 0;
	while (seconds == 0 && fgets(line, sizeof line, file) != NULL) {
		if (strncmp(line, "btime ", 6) == 0) seconds = strtod(line + 6, NULL);
	}
	(void)fclose(file);
	return seconds;
}

static double count_fds(void)
{
	DIR *directory = opendir("/proc/self/fd");
	if (directory == NULL) return -1;
	double count = -3; /* ".", ".." and the directory itself */
	while (readdir(directory) != NULL)
		count++;
	(void)closedir(directory);
	return count;
}

static void read_values(double values[static VALUE_COUNT])
{
	double fields[53] = { 0 };
	for (size_t i = 0; i < VALUE_COUNT; i++)
		values[i] = -1;
	if (read_stat(fields)) {
		double ticks = (double)sysconf(_SC_CLK_TCK);
		double boot_s = boot_time_s();
		values[CPU] = (fields[14] + fields[15]) / ticks;
		values[THREADS] = fields[20];
		values[VIRTUAL] = fields[23];
		values[RESIDENT] = fields[24] * (double)sysconf(_SC_PAGESIZE);
		if (boot_s > 0) values[START] = boot_s + fields[22] / ticks;
	}
	values[OPEN_FDS] = count_fds();
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) values[MAX_FDS] = (double)limit.rlim_cur;
}

void process_metrics_write(enum metrics_format format, struct buffer *out_text)
{
	double values[VALUE_COUNT];
	read_values(values);
	for (size_t i = 0; i < VALUE_COUNT; i++) {
		if (values[i] < 0) continue;
		struct metric_descriptor head = {
			.name = table[i].name, .type = table[i].type, .unit = table[i].unit, .help = table[i].help
		};
		metrics_write_head(&head, format, out_text);
		buffer_append_format(out_text, "%s %.2f\n", table[i].name, values[i]);
	}
}
