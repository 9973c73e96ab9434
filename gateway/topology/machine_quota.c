/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much cpu time cgroups leave us. A limit may stand at any level above us, and in a container our group's path may
 * be one that only the host can see: then what the container sees is its own group, at the mount's root.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "machine.h"

#define PATH_BYTES 1024
#define LINE_BYTES 4096

struct group {
    char path[PATH_BYTES]; /* of this process in the hierarchy */
    char root[PATH_BYTES]; /* the group at the mount point */
    char mount[PATH_BYTES];
    bool v2, found, mounted;
};

/* "cpu,cpuacct" holds "cpu", and "cpuacct" alone does not. */
static bool has_word(const char *list, const char *word)
{
    size_t len = strlen(word);
    for (const char *s = list; s; s = strchr(s, ',') ? strchr(s, ',') + 1 : NULL)
        if (strncmp(s, word, len) == 0 && (s[len] == ',' || s[len] == '\0'))
            return true;
    return false;
}

static FILE *open_below(const char *root, const char *folder, const char *name)
{
    char full[4 * PATH_BYTES];
    snprintf(full, sizeof(full), "%s%s/%s", root, folder, name);
    return fopen(full, "re");
}

/* A line of /proc/self/cgroup: "4:cpu,cpuacct:/path", or "0::/path" for version 2. */
static void note_group(char *line, struct group *v1, struct group *v2)
{
    char *controllers = strchr(line, ':');
    char *path = controllers ? strchr(controllers + 1, ':') : NULL;
    if (!path)
        return;
    *path++ = '\0';
    path[strcspn(path, "\n")] = '\0';
    controllers++;
    struct group *g = *controllers == '\0' ? v2 : has_word(controllers, "cpu") ? v1 : NULL;
    if (!g)
        return;
    g->found = strlen(path) < sizeof(g->path);
    snprintf(g->path, sizeof(g->path), "%.*s", (int)sizeof(g->path) - 1, path);
}

/* A line of /proc/self/mountinfo: "31 23 0:28 ROOT MOUNT OPTIONS ... - TYPE SOURCE SUPER-OPTIONS". */
static void note_mount(char *line, struct group *v1, struct group *v2)
{
    char root[PATH_BYTES], mount[PATH_BYTES], type[32], super[256];
    const char *dash = strstr(line, " - ");
    if (!dash || sscanf(line, "%*s %*s %*s %1023s %1023s", root, mount) != 2 ||
        sscanf(dash + 3, "%31s %*s %255s", type, super) != 2)
        return;
    struct group *g = strcmp(type, "cgroup2") == 0 ? v2 : NULL;
    if (strcmp(type, "cgroup") == 0 && has_word(super, "cpu"))
        g = v1;
    if (!g || g->mounted)
        return;
    g->mounted = true;
    memcpy(g->root, root, sizeof(root));
    memcpy(g->mount, mount, sizeof(mount));
}

static void each_line(const char *root, const char *name, void (*fn)(char *, struct group *, struct group *),
                      struct group *v1, struct group *v2)
{
    char line[LINE_BYTES];
    FILE *f = open_below(root, "/proc/self", name);
    while (f && fgets(line, sizeof(line), f))
        fn(line, v1, v2);
    if (f)
        fclose(f);
}

/* Two numbers, the first of which may be "max". Returns thousandths of a cpu, 0 for no limit. */
static uint32_t milli_of(const char *quota, const char *period)
{
    long long q = strtoll(quota, NULL, 10), p = strtoll(period, NULL, 10);
    if (q <= 0 || p <= 0)
        return 0;
    long long milli = q > LLONG_MAX / 1000 ? LLONG_MAX : q * 1000 / p;
    return (uint32_t)TG_MIN(TG_MAX(milli, 1ll), (long long)UINT32_MAX);
}

static bool read_word(const char *root, const char *folder, const char *name, char *a, char *b)
{
    FILE *f = open_below(root, folder, name);
    int n = f ? fscanf(f, "%31s %31s", a, b) : 0;
    if (f)
        fclose(f);
    return n >= 1;
}

static uint32_t quota_at(const char *root, const char *folder, bool v2)
{
    char quota[32] = "", period[32] = "", unused[32];
    if (v2)
        return read_word(root, folder, "cpu.max", quota, period) ? milli_of(quota, period) : 0;
    bool both = read_word(root, folder, "cpu.cfs_quota_us", quota, unused) &&
                read_word(root, folder, "cpu.cfs_period_us", period, unused);
    return both ? milli_of(quota, period) : 0;
}

/* Our path below the mount point; "" if it lies outside of what is mounted. */
static const char *below_mount(const struct group *g)
{
    size_t len = strcmp(g->root, "/") == 0 ? 0 : strlen(g->root);
    if (strncmp(g->path, g->root, len) != 0 || (g->path[len] != '/' && g->path[len] != '\0'))
        return "";
    return strncmp(g->path + len, "/..", 3) == 0 ? "" : g->path + len;
}

/* The least of our group's limit and those of all above it. */
static uint32_t quota_of(const char *root, const struct group *g)
{
    char folder[2 * PATH_BYTES];
    uint32_t least = 0;
    if (!g->found || !g->mounted)
        return 0;
    size_t top = strlen(g->mount);
    snprintf(folder, sizeof(folder), "%s%s", g->mount, below_mount(g));
    for (;;) {
        uint32_t milli = quota_at(root, folder, g->v2);
        least = milli > 0 && (least == 0 || milli < least) ? milli : least;
        char *slash = strrchr(folder, '/');
        if (!slash || (size_t)(slash - folder) < top)
            return least;
        *slash = '\0';
    }
}

uint32_t machine_quota_milli(const char *root)
{
    struct group v1 = {.v2 = false}, v2 = {.v2 = true};
    each_line(root, "cgroup", note_group, &v1, &v2);
    each_line(root, "mountinfo", note_mount, &v1, &v2);
    uint32_t old = quota_of(root, &v1), new = quota_of(root, &v2);
    return old == 0 || (new > 0 && new < old) ? new : old;
}
