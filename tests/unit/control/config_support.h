/* SPDX-License-Identifier: Apache-2.0 */
/* Loading a configuration from literals, for the tests of this folder. */
#ifndef CONFIG_SUPPORT_H
#define CONFIG_SUPPORT_H

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "config_row.h"

/* Word lists for load(): FLAGS("--a.b=1"), ENV("A=1"). */
#define FLAGS(...) ((char **)(const char *[]){__VA_ARGS__, NULL})
#define ENV(...) ((char **)(const char *[]){__VA_ARGS__, NULL})

static struct config cfg;
static struct config_report report;

static inline int load(char **flags, char **env)
{
    int count = 0;
    while (flags && flags[count])
        count++;
    return config_load(&cfg, count, flags, env, &report);
}

static inline void unload(void)
{
    config_finish(&cfg);
    config_report_finish(&report);
}

/* A file of that text in a directory that is only ours; remove it with file_remove(). */
static inline void file_write(char path[static 64], const char *text, size_t len)
{
    strcpy(path, "/tmp/tg-config-XXXXXX");
    int fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, text, len), (ssize_t)len);
    close(fd);
}

static inline int load_file(const char *text, char **env)
{
    char path[64], flag[80];
    file_write(path, text, strlen(text));
    snprintf(flag, sizeof flag, "--config=%s", path);
    int rc = load(FLAGS(flag), env);
    unlink(path);
    return rc;
}

/* Whether a report line ends in this text: the path before it differs from run to run. */
static inline bool reported(const char *end)
{
    for (size_t i = 0; i < report.count; i++) {
        size_t len = strlen(report.lines[i]), end_len = strlen(end);
        if (len >= end_len && strcmp(report.lines[i] + len - end_len, end) == 0)
            return true;
    }
    return false;
}

static char *printed_text;
static size_t printed_len;

/* What a statement writes to `out`, as a string to free. */
#define PRINTED(statement)                                                                                   \
    ({                                                                                                       \
        FILE *out = open_memstream(&printed_text, &printed_len);                                             \
        statement;                                                                                           \
        fclose(out);                                                                                         \
        printed_text;                                                                                        \
    })

static inline char *file_read(const char *path)
{
    return PRINTED({
        FILE *in = fopen(path, "r");
        cr_assert_not_null(in, "cannot open %s", path);
        for (int c = fgetc(in); c != EOF; c = fgetc(in))
            fputc(c, out);
        fclose(in);
    });
}

#endif
