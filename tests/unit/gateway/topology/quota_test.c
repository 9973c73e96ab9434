/* SPDX-License-Identifier: Apache-2.0 */
/* Limits of cgroups, from trees of files as the kernel shows them. */
#include <criterion/criterion.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "gateway/topology/machine.h"

static char root[64];

static void setup(void)
{
    strcpy(root, "/tmp/tg-quota-XXXXXX");
    cr_assert(mkdtemp(root));
}

static void teardown(void)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -r '%s'", root);
    cr_assert_eq(system(command), 0);
}

TestSuite(quota, .init = setup, .fini = teardown);

/* The file, and the folders to it. */
static void put(const char *path, const char *text)
{
    char full[512];
    snprintf(full, sizeof(full), "%s%s", root, path);
    for (char *slash = strchr(full + strlen(root) + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(full, 0755);
        *slash = '/';
    }
    FILE *f = fopen(full, "w");
    cr_assert(f, "%s", full);
    fputs(text, f);
    fclose(f);
}

#define V2_MOUNT "24 1 0:22 / /sys rw shared:7 - sysfs sysfs rw\n30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw\n"
#define V1_MOUNT "31 23 0:28 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n" \
                 "32 23 0:29 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"

Test(quota, without_cgroups_there_is_none)
{
    cr_assert_eq(machine_quota_milli(root), 0);
}

Test(quota, version_2_says_max_or_a_share)
{
    put("/proc/self/cgroup", "0::/app\n");
    put("/proc/self/mountinfo", V2_MOUNT);
    put("/sys/fs/cgroup/app/cpu.max", "max 100000\n");
    cr_assert_eq(machine_quota_milli(root), 0);
    put("/sys/fs/cgroup/app/cpu.max", "150000 100000\n");
    cr_assert_eq(machine_quota_milli(root), 1500);
}

Test(quota, the_least_of_all_levels_counts)
{
    put("/proc/self/cgroup", "0::/pod/app\n");
    put("/proc/self/mountinfo", V2_MOUNT);
    put("/sys/fs/cgroup/pod/app/cpu.max", "800000 100000\n");
    put("/sys/fs/cgroup/pod/cpu.max", "600000 100000\n");
    cr_assert_eq(machine_quota_milli(root), 6000);
    put("/sys/fs/cgroup/pod/app/cpu.max", "max 100000\n");
    cr_assert_eq(machine_quota_milli(root), 6000);
    put("/sys/fs/cgroup/pod/app/cpu.max", "50000 100000\n");
    cr_assert_eq(machine_quota_milli(root), 500);
}

Test(quota, version_1_has_two_files_and_minus_one_for_none)
{
    put("/proc/self/cgroup", "3:cpuset:/x\n4:cpu,cpuacct:/app\n0::/\n");
    put("/proc/self/mountinfo", V1_MOUNT);
    put("/sys/fs/cgroup/cpu,cpuacct/app/cpu.cfs_quota_us", "-1\n");
    put("/sys/fs/cgroup/cpu,cpuacct/app/cpu.cfs_period_us", "100000\n");
    cr_assert_eq(machine_quota_milli(root), 0);
    put("/sys/fs/cgroup/cpu,cpuacct/app/cpu.cfs_quota_us", "25000\n");
    put("/sys/fs/cgroup/cpu,cpuacct/app/cpu.cfs_period_us", "50000\n");
    cr_assert_eq(machine_quota_milli(root), 500);
}

Test(quota, the_cpuacct_controller_is_not_the_cpu_controller)
{
    put("/proc/self/cgroup", "4:cpuacct:/app\n");
    put("/proc/self/mountinfo", "31 23 0:28 / /sys/fs/cgroup/cpuacct rw - cgroup cgroup rw,cpuacct\n");
    put("/sys/fs/cgroup/cpuacct/app/cpu.cfs_quota_us", "25000\n");
    put("/sys/fs/cgroup/cpuacct/app/cpu.cfs_period_us", "50000\n");
    cr_assert_eq(machine_quota_milli(root), 0);
}

Test(quota, in_a_container_the_mount_begins_at_our_group)
{
    put("/proc/self/cgroup", "0::/docker/abc\n");
    put("/proc/self/mountinfo", "30 24 0:26 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n");
    put("/sys/fs/cgroup/cpu.max", "200000 100000\n");
    cr_assert_eq(machine_quota_milli(root), 2000);
}

Test(quota, a_path_outside_of_the_mount_stands_for_its_root)
{
    put("/proc/self/cgroup", "0::/../../other\n");
    put("/proc/self/mountinfo", V2_MOUNT);
    put("/sys/fs/cgroup/cpu.max", "300000 100000\n");
    cr_assert_eq(machine_quota_milli(root), 3000);
}

Test(quota, with_both_versions_the_smaller_counts)
{
    put("/proc/self/cgroup", "4:cpu:/a\n0::/b\n");
    put("/proc/self/mountinfo", "31 23 0:28 / /cg/cpu rw - cgroup cgroup rw,cpu\n32 23 0:29 / /cg/unified rw - cgroup2 none rw\n");
    put("/cg/cpu/a/cpu.cfs_quota_us", "400000");
    put("/cg/cpu/a/cpu.cfs_period_us", "100000");
    put("/cg/unified/b/cpu.max", "900000 100000");
    cr_assert_eq(machine_quota_milli(root), 4000);
}

Test(quota, nonsense_is_no_limit)
{
    static const char *const texts[] = {"", "\n", "abc def\n", "100000 0\n", "0 100000\n", "100000\n", "-5 100000\n"};
    put("/proc/self/cgroup", "nonsense\n0:\n0::/app\n");
    put("/proc/self/mountinfo", "nonsense\n - \n1 2 3 - cgroup2\n" V2_MOUNT);
    for (size_t i = 0; i < TG_ARRAY_SIZE(texts); i++) {
        put("/sys/fs/cgroup/app/cpu.max", texts[i]);
        cr_assert_eq(machine_quota_milli(root), 0, "%s", texts[i]);
    }
    put("/sys/fs/cgroup/app/cpu.max", "99999999999999999999 1\n");
    cr_assert_gt(machine_quota_milli(root), 1000000u, "far more than there are cpus");
}
