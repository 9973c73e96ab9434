/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: texts of the configuration with a grammar of their own. The first byte chooses: hours of the day, a rule for
 * summer time, a list of cpus. What is accepted means something: shares within 0 and 1, offsets within a week, lists that
 * survive being written and read again.
 */
#include "gateway/control/zone_rule.h"
#include "gateway/dialect/iicp_availability.h"
#include "gateway/topology/cpu_list.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define DAY_S 86400
#define WEEK_S (7 * DAY_S)

static void must(bool ok)
{
    if (!ok)
        abort();
}

static void check_window(const struct iicp_window *w)
{
    must(w->start < IICP_DAY_MINUTES && w->end <= IICP_DAY_MINUTES && w->share >= 0 && w->share <= 1);
}

static void fuzz_windows(struct tg_str text)
{
    struct iicp_windows w;
    struct iicp_windows_utc utc;
    size_t offset = 0;
    if (iicp_windows_parse(text, &w, &offset)) {
        must(offset <= text.len);
        return;
    }
    must(w.count <= IICP_WINDOWS_MAX);
    for (uint32_t i = 0; i < w.count; i++)
        check_window(&w.items[i]);
    for (uint32_t minute = 0; minute < IICP_DAY_MINUTES; minute += 7) {
        double share = iicp_windows_share(&w, minute);
        must(share >= 0 && share <= 1 && iicp_effective(100, share) <= 100);
    }
    iicp_windows_to_utc(&w, 5 * 3600 + 1800, &utc);
    must(utc.count <= 2 * w.count);
    for (uint32_t i = 0; i < utc.count; i++)
        check_window(&utc.items[i]);
}

static void fuzz_zone(struct tg_str text)
{
    static const int64_t times[] = {-INT64_C(62135596800), -1, 0, 951782400, 1774746000, 1792976400, INT64_C(253402300799)};
    struct zone_rule r;
    if (!zone_rule_parse(text, &r))
        return;
    for (size_t i = 0; i < TG_ARRAY_SIZE(times); i++) {
        int32_t offset = zone_rule_offset_s(&r, times[i]);
        must(offset == r.standard_s || (r.has_summer && offset == r.summer_s));
        must(offset >= -WEEK_S && offset <= WEEK_S);
    }
}

static void fuzz_cpus(const char *text)
{
    char why[CPU_LIST_WHY_BYTES] = "", out[8192];
    struct cpu_list list, again;
    cpu_set_t set;
    if (cpu_list_parse(text, &list, why) < 0) {
        must(why[0] && memchr(why, '\0', sizeof(why)));
        return;
    }
    CPU_ZERO(&set);
    for (uint32_t i = 0; i < list.count; i++)
        CPU_SET(list.cpu[i], &set);
    must((uint32_t)CPU_COUNT(&set) == list.count); /* none twice */
    cpu_list_format(&set, out, sizeof(out));
    must(list.count == 0 || (cpu_list_parse(out, &again, why) == 0 && again.count == list.count));
    for (uint32_t i = 0; list.count && i < again.count; i++)
        must(CPU_ISSET(again.cpu[i], &set));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    char *copy = malloc(size); /* the text and its NUL, to the byte */
    must(copy != NULL);
    memcpy(copy, data + 1, size - 1);
    copy[size - 1] = '\0';
    struct tg_str text = {copy, size - 1};
    switch (data[0] % 3) {
    case 0:
        fuzz_windows(text);
        break;
    case 1:
        fuzz_zone(text);
        break;
    default:
        fuzz_cpus(copy);
    }
    free(copy);
    return 0;
}
