/* SPDX-License-Identifier: Apache-2.0 */
/* What a run found, as text for people or as one JSON object. */
#ifndef BENCH_LOAD_REPORT_H
#define BENCH_LOAD_REPORT_H

#include "procstat.h"
#include "stats.h"

struct options;

struct report {
    const struct options *options;
    const char *io;
    const struct stats *stats;
    double seconds;                      /* measured, which a signal may have cut short */
    int interrupted;                     /* by a signal */
    const char *tls_version, *tls_suite; /* of the last handshake, with --tls */
    struct procstat before;              /* of the server; all zeroes unless it could be read */
    struct procstat after;
};

void report_text(const struct report *r);
void report_json(const struct report *r);

#endif
