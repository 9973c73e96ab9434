/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of bench-load, checked and ready for use. */
#ifndef BENCH_LOAD_OPTIONS_H
#define BENCH_LOAD_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define OPTIONS_LIST_MAX 32
#define OPTIONS_CPUS_MAX 64
#define OPTIONS_PIDS_MAX 16

struct option_list {
    const char *items[OPTIONS_LIST_MAX];
    uint32_t count;
};

typedef uint32_t option_U32;
typedef double option_F64;
typedef const char *option_STR;
typedef bool option_FLAG;
typedef struct option_list option_LIST;

struct options {
#define OPTION(type, field, flag, def, least, most, arg, help) option_##type field;
#include "options.def"
#undef OPTION
    /* Derived from the above and from the target. */
    const char *target; /* as written */
    char host[256];     /* for the Host header: name or address, with the port */
    struct sockaddr_storage addr;
    socklen_t addr_len;
    int cpus[OPTIONS_CPUS_MAX];
    uint32_t cpu_count;
    int pids[OPTIONS_PIDS_MAX];
    uint32_t pid_count;
    uint32_t row_first, row_last;
    bool poisson, spin, force_uring, force_epoll, tls_12;
};

enum options_result {
    OPTIONS_RUN,  /* go on */
    OPTIONS_HELP, /* help was printed: exit 0 */
    OPTIONS_BAD,  /* one line on stderr said what is wrong: exit 2 */
};

/* The strings in `o` point into argv. */
enum options_result options_parse(int argc, char **argv, struct options *o);

#endif
