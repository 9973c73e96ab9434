/* SPDX-License-Identifier: Apache-2.0 */
/* Reads schedstat (nanoseconds, exact) and status of every thread of the server. */
#include "procstat.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static uint64_t status_field(const char *path, const char *name)
{
    FILE *f = fopen(path, "r");
    size_t len = strlen(name);
    uint64_t value = 0;
    char line[256];

    while (f && fgets(line, sizeof(line), f))
        if (strncmp(line, name, len) == 0 && sscanf(line + len, "%" SCNu64, &value) == 1)
            break;
    if (f)
        fclose(f);
    return value;
}

/* Without scheduler statistics in the kernel, the clock ticks of `stat`: fields 14 and 15, behind the name. */
static uint64_t ticks_ns(const char *dir)
{
    uint64_t user = 0, system = 0;
    char path[96], line[1024], *p;
    FILE *f;

    snprintf(path, sizeof(path), "%s/stat", dir);
    f = fopen(path, "r");
    if (f && fgets(line, sizeof(line), f) && (p = strrchr(line, ')')) != NULL)
        if (sscanf(p + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64, &user, &system) != 2)
            user = system = 0;
    if (f)
        fclose(f);
    return (user + system) * (UINT64_C(1000000000) / (uint64_t)sysconf(_SC_CLK_TCK));
}

static uint64_t run_ns(const char *dir)
{
    uint64_t value = 0;
    char path[96];
    FILE *f;
    int got;

    snprintf(path, sizeof(path), "%s/schedstat", dir);
    f = fopen(path, "r");
    got = f ? fscanf(f, "%" SCNu64, &value) : 0;
    if (f)
        fclose(f);
    return got == 1 ? value : ticks_ns(dir);
}

static void add_thread(const char *dir, struct procstat *out)
{
    char path[96];

    out->cpu_ns += run_ns(dir);
    snprintf(path, sizeof(path), "%s/status", dir);
    out->voluntary_switches += status_field(path, "voluntary_ctxt_switches:");
}

static int add_process(int pid, struct procstat *out)
{
    char path[64];
    const struct dirent *entry;
    DIR *tasks;
    int tid;

    snprintf(path, sizeof(path), "/proc/%d/task", pid);
    tasks = opendir(path);
    if (!tasks)
        return -ESRCH;
    while ((entry = readdir(tasks)) != NULL) {
        if (sscanf(entry->d_name, "%d", &tid) != 1)
            continue;
        snprintf(path, sizeof(path), "/proc/%d/task/%d", pid, tid);
        add_thread(path, out);
    }
    closedir(tasks);
    snprintf(path, sizeof(path), "/proc/%d/status", pid);
    out->rss_bytes += 1024 * status_field(path, "VmRSS:");
    return 0;
}

/* A line of names, then one of numbers; OutSegs is the eleventh. */
static uint64_t segments_sent(void)
{
    FILE *f = fopen("/proc/net/snmp", "r");
    uint64_t value = 0;
    char line[512];

    while (f && value == 0 && fgets(line, sizeof(line), f))
        if (sscanf(line, "Tcp: %*d %*d %*d %*d %*d %*d %*d %*d %*d %*d %" SCNu64, &value) != 1)
            value = 0;
    if (f)
        fclose(f);
    return value;
}

int procstat_read(const int *pids, uint32_t count, struct procstat *out)
{
    int rc = 0;

    memset(out, 0, sizeof(*out));
    for (uint32_t i = 0; i < count && !rc; i++)
        rc = add_process(pids[i], out);
    out->tcp_segments = segments_sent();
    return rc;
}
