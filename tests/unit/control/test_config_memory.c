/* SPDX-License-Identifier: Apache-2.0 */
/* Fail the n-th allocation, n = 1, 2, ..., until nothing fails: each time -ENOMEM or a cut report, no leak,
 * no crash.
 *
 * The linker routes our own allocations through here (-Wl,--wrap). */
#include "config_support.h"

#include <errno.h>

static size_t calls, fail_at;

static bool fails(void)
{
    return ++calls == fail_at;
}

#define WRAP(type, name, params, args)                                                                       \
    type __real_##name params;                                                                               \
    type __wrap_##name params;                                                                               \
    type __wrap_##name params                                                                                \
    {                                                                                                        \
        return fails() ? NULL : __real_##name args;                                                          \
    }

WRAP(void *, malloc, (size_t size), (size))
WRAP(void *, realloc, (void *ptr, size_t size), (ptr, size))
WRAP(char *, strdup, (const char *text), (text))
WRAP(char *, strndup, (const char *text, size_t len), (text, len))

static const char text[] =
    "[server]\nlisten = ['a:1', 'b:2']\nlisen = 1\n[unknown]\nx = 1\n[node]\nid = 'x'\n"
    "[runner.a]\ntype = 'echo'\nk = 1\n[runner.b]\ntype = 'noop'\n";

static int load_failing(char *flag, size_t n)
{
    calls = 0;
    fail_at = n;
    int rc = load(FLAGS(flag, "--runner.a.k=2", "--node.region=eu"), ENV("TASKGATE_NODE_MODEL=m"));
    fail_at = 0;
    return rc;
}

Test(config_memory, loading_survives_any_failed_allocation)
{
    char path[64], flag[80];
    file_write(path, text, sizeof text - 1);
    snprintf(flag, sizeof flag, "--config=%s", path);
    size_t n = 1, out_of_memory = 0;
    for (; n < 1000; n++) {
        int rc = load_failing(flag, n);
        bool reached = calls >= n;
        out_of_memory += rc == -ENOMEM;
        cr_assert(rc == -ENOMEM || rc == -EINVAL, "allocation %zu gave %d", n, rc);
        cr_assert(rc == -ENOMEM || report.count + report.more == 2, "allocation %zu lost a problem", n);
        unload();
        if (!reached)
            break;
    }
    unlink(path);
    cr_assert_gt(n, 20, "nothing was made to fail");
    cr_assert_lt(n, 1000);
    cr_assert_geq(out_of_memory, n - 4, "only the two report lines may be lost quietly");
}

Test(config_memory, keeping_survives_any_failed_allocation)
{
    struct config now;
    cr_assert_eq(config_init(&now), 0);
    int rc = -ENOMEM;
    for (size_t n = 1; n < 1000 && rc != 0; n++) {
        cr_assert_eq(config_init(&cfg), 0);
        calls = 0;
        fail_at = n;
        rc = config_keep(&cfg, &now);
        fail_at = 0;
        cr_assert(rc == 0 || rc == -ENOMEM);
        cr_assert(rc == -ENOMEM || n > 10);
        config_finish(&cfg);
    }
    cr_assert_eq(rc, 0);
    config_finish(&now);
}
