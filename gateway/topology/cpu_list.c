/* SPDX-License-Identifier: Apache-2.0 */
/* Reading and writing "0-3,8". */
#include "cpu_list.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

__attribute__((format(printf, 2, 3))) static int refuse(char why[static CPU_LIST_WHY_BYTES], const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(why, CPU_LIST_WHY_BYTES, format, args);
    va_end(args);
    return -EINVAL;
}

static const char *skip_blanks(const char *s)
{
    return s + strspn(s, " ");
}

/* Returns what follows the number, NULL if there is none. Far more digits than any cpu has stay one large number. */
static const char *read_number(const char *s, uint32_t *out)
{
    uint32_t n = 0;
    s = skip_blanks(s);
    if (*s < '0' || *s > '9')
        return NULL;
    for (; *s >= '0' && *s <= '9'; s++)
        n = TG_MIN(n * 10 + (uint32_t)(*s - '0'), 1000000u);
    *out = n;
    return skip_blanks(s);
}

static int add_range(struct cpu_list *list, uint32_t first, uint32_t last, cpu_set_t *seen, char *why)
{
    if (last < first)
        return refuse(why, "%u-%u runs backwards", first, last);
    if (last >= CPU_SETSIZE)
        return refuse(why, "cpu %u is beyond the last one possible, %d", last, CPU_SETSIZE - 1);
    for (uint32_t n = first; n <= last; n++) {
        if (CPU_ISSET(n, seen))
            return refuse(why, "cpu %u is named twice", n);
        CPU_SET(n, seen);
        list->cpu[list->count++] = (uint16_t)n;
    }
    return 0;
}

/* One number or range. Returns what follows it, NULL having said why. */
static const char *read_item(const char *s, struct cpu_list *out, cpu_set_t *seen, char *why)
{
    uint32_t first = 0, last = 0;
    const char *at = s, *end = read_number(s, &first);
    last = first;
    if (end && *end == '-')
        end = read_number(end + 1, &last);
    if (!end || (*end && *end != ',')) {
        refuse(why, "\"%.40s\" is no list of cpus like 0-3,8", at);
        return NULL;
    }
    return add_range(out, first, last, seen, why) == 0 ? end : NULL;
}

int cpu_list_parse(const char *text, struct cpu_list *out, char why[static CPU_LIST_WHY_BYTES])
{
    struct cpu_list list = {0};
    cpu_set_t seen;
    CPU_ZERO(&seen);
    const char *s = skip_blanks(text);
    while (*s) {
        s = read_item(s, &list, &seen, why);
        if (!s)
            return -EINVAL;
        if (*s == ',' && !*skip_blanks(++s))
            return refuse(why, "ends in a comma");
    }
    *out = list;
    return 0;
}

static uint32_t last_of_run(const cpu_set_t *set, uint32_t first)
{
    uint32_t last = first;
    while (last + 1 < CPU_SETSIZE && CPU_ISSET(last + 1, set))
        last++;
    return last;
}

const char *cpu_list_format(const cpu_set_t *set, char *out, size_t bytes)
{
    size_t used = (size_t)snprintf(out, bytes, "%s", CPU_COUNT(set) ? "" : "none");
    for (uint32_t n = 0; n < CPU_SETSIZE; n++) {
        char item[32];
        if (!CPU_ISSET(n, set))
            continue;
        uint32_t last = last_of_run(set, n);
        int len = snprintf(item, sizeof(item), last > n ? "%s%u-%u" : "%s%u", used ? "," : "", n, last);
        if (used + (size_t)len + sizeof("...") > bytes) {
            snprintf(out + used, bytes - used, "...");
            break;
        }
        memcpy(out + used, item, (size_t)len + 1);
        used += (size_t)len;
        n = last;
    }
    return out;
}
