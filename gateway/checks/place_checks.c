/* SPDX-License-Identifier: Apache-2.0 */
/* `taskgate doctor`: memory that is locked, pages it lies in, and the plan of threads. */
#include "place_checks.h"
#include <string.h>
#include <sys/resource.h>
#include "host_checks.h"
#include "gateway/topology/review.h"

#define MEMLOCK_GOOD (UINT64_C(64) << 20) /* what io_uring takes is far below it */
#define MIB(bytes) ((unsigned long long)(bytes) >> 20)

/* ---- locked memory ---------------------------------------------------------------------------------------- */

void memlock_judge(const struct host_sight *s, uint64_t limit, struct doctor_finding *f)
{
    static const char todo[] = "LimitMEMLOCK=infinity, or ulimit -l unlimited";
    char lanes[80] = "";
    if (s->lock_bytes > 0)
        snprintf(lanes, sizeof(lanes), "; up to %llu MiB of lanes are pinned for the GPU",
                 MIB(s->lock_bytes));
    if (limit == UINT64_MAX)
        doctor_say(f, DOCTOR_OK, DOCTOR_HEALTHY, "", "locked memory has no limit%s", lanes);
    else if (limit < s->lock_bytes)
        doctor_say(f, DOCTOR_WARN, DOCTOR_HEALTHY, todo,
                   "only %llu MiB of memory may be locked, up to %llu MiB of lanes are to be pinned for the "
                   "GPU: what stays unpinned is slower",
                   MIB(limit), MIB(s->lock_bytes));
    else if (limit < MEMLOCK_GOOD)
        doctor_say(f, DOCTOR_WARN, DOCTOR_HEALTHY, todo,
                   "only %llu KiB of memory may be locked: io_uring may be refused",
                   (unsigned long long)limit >> 10);
    else
        doctor_say(f, DOCTOR_OK, DOCTOR_HEALTHY, "", "%llu MiB of memory may be locked%s", MIB(limit), lanes);
}

void check_memlock(struct doctor *d, struct doctor_finding *f)
{
    struct rlimit r;
    bool none = getrlimit(RLIMIT_MEMLOCK, &r) < 0 || r.rlim_cur == RLIM_INFINITY;
    memlock_judge(host_sight(d->config), none ? UINT64_MAX : r.rlim_cur, f);
}

/* ---- huge pages ------------------------------------------------------------------------------------------- */

void huge_pages_judge(const struct host_sight *s, bool wanted, const char *text, struct doctor_finding *f)
{
    static const char key[] = "topology.huge_pages";
    if (!wanted && s->lock_bytes > 0)
        doctor_say(f, DOCTOR_OK, DOCTOR_HEALTHY, "topology.huge_pages = true asks for pages of 2 MiB",
                   "%s is off: up to %llu MiB of lanes are pinned in pages of 4 KiB", key,
                   MIB(s->lock_bytes));
    else if (!wanted)
        doctor_say(f, DOCTOR_OK, DOCTOR_HEALTHY, "", "%s is off", key);
    else if (!text[0])
        doctor_say(f, DOCTOR_WARN, DOCTOR_HEALTHY, "nothing, if this is a container",
                   "%s is on, and this kernel does not tell whether it has them", key);
    else if (strstr(text, "[never]"))
        doctor_say(
            f, DOCTOR_WARN, DOCTOR_HEALTHY, "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled",
            "%s is on, and the kernel's transparent huge pages are off: %llu MiB of lanes lie in small ones",
            key, MIB(s->lane_bytes));
    else
        doctor_say(f, DOCTOR_OK, DOCTOR_HEALTHY, "", "%s is on, the kernel allows: %s", key,
                   strstr(text, "[always]") ? "always" : "madvise");
}

void check_huge_pages(struct doctor *d, struct doctor_finding *f)
{
    char text[128] = "";
    FILE *in = fopen("/sys/kernel/mm/transparent_hugepage/enabled", "re");
    if (in && !fgets(text, sizeof(text), in))
        text[0] = '\0';
    if (in)
        fclose(in);
    huge_pages_judge(host_sight(d->config), d->config->topology_huge_pages, text, f);
}

/* ---- who sits where --------------------------------------------------------------------------------------- */

void check_placement(struct doctor *d, struct doctor_finding *f)
{
    const struct host_sight *s = host_sight(d->config);
    struct topology_review r;
    char more[32] = "";
    if (s->planned < 0) {
        doctor_say(f, DOCTOR_FAIL, DOCTOR_LOCAL_UNHEALTHY, "taskgate topo with the same flags says why",
                   "no plan of threads can be made");
        return;
    }
    topology_review(&s->topology.machine, &s->topology.wish, &s->topology.plan, &r);
    if (r.concerns > 1)
        snprintf(more, sizeof(more), " (and %u more)", r.concerns - 1);
    doctor_say(f, r.concerns ? DOCTOR_WARN : DOCTOR_OK, DOCTOR_HEALTHY, r.todo, "%s%s", r.what, more);
}
