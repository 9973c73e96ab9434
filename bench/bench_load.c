/* SPDX-License-Identifier: Apache-2.0 */
/* bench-load: an HTTP load generator for one machine. Starts the threads, watches the clock, prints the report. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "load/client.h"
#include "load/clock.h"
#include "load/options.h"
#include "load/report.h"
#include "load/tls.h"

static struct run run;

static void on_signal(int signal)
{
    atomic_store_explicit(&run.stop, true, memory_order_relaxed);
}

/* The second interrupt ends the program the ordinary way. */
static void watch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static int raise_file_limit(uint32_t connections)
{
    struct rlimit limit;

    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_max >= connections + 64)
        return 0;
    fprintf(stderr, "bench-load: --connections '%u': this process may open only %llu files (ulimit -Hn)\n",
            connections, (unsigned long long)limit.rlim_max);
    return -EMFILE;
}

static bool stopped(void)
{
    return atomic_load_explicit(&run.stop, memory_order_relaxed);
}

static uint64_t answers(const struct client *clients, uint32_t count)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < count; i++)
        sum += atomic_load_explicit(&clients[i].progress, memory_order_relaxed);
    return sum;
}

/* Sleeps to the given moment in short steps, saying each second how it goes. */
static void watch_until(uint64_t when_ns, const struct client *clients, uint32_t count)
{
    uint64_t now = clock_ns(), said_ns = now, before = answers(clients, count);
    bool tty = isatty(STDERR_FILENO);

    for (; now < when_ns && !stopped(); now = clock_ns()) {
        uint64_t step_ns = TG_MIN(when_ns - now, 50 * NS_PER_MS);
        struct timespec ts = {.tv_sec = 0, .tv_nsec = (long)step_ns};

        nanosleep(&ts, NULL);
        if (tty && clock_ns() - said_ns >= NS_PER_S) {
            uint64_t after = answers(clients, count);

            fprintf(stderr, "\r%4.0f s left, %10.0f requests/s ", (double)(when_ns - now) / 1e9,
                    (double)(after - before) * 1e9 / (double)(clock_ns() - said_ns));
            said_ns = clock_ns();
            before = after;
        }
    }
    if (tty)
        fprintf(stderr, "\r%48s\r", "");
}

/* An exited server is said once; the rest of the report still stands. */
static void read_server(const struct options *o, struct procstat *out)
{
    if (o->pid_count && procstat_read(o->pids, o->pid_count, out))
        fprintf(stderr, "bench-load: --server-pid '%s': no such process\n", o->server_pid);
}

static void watch_run(struct report *report, const struct client *clients)
{
    uint64_t end_ns;

    watch_until(run.measure_ns, clients, run.options->threads);
    read_server(run.options, &report->before);
    watch_until(run.end_ns, clients, run.options->threads);
    end_ns = TG_MIN(clock_ns(), run.end_ns);
    read_server(run.options, &report->after);
    report->interrupted = stopped();
    report->seconds = end_ns > run.measure_ns ? (double)(end_ns - run.measure_ns) / 1e9 : 0;
}

static void set_times(const struct options *o)
{
    run.start_ns = clock_ns();
    run.measure_ns = run.start_ns + (uint64_t)(o->warmup * 1e9);
    run.end_ns = run.measure_ns + (uint64_t)(o->duration * 1e9);
}

static int first_error(const struct client *clients, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (clients[i].error)
            return clients[i].error;
    return 0;
}

/* A thread that cannot start makes the others stop, too: half a load is not what was asked for. */
static int run_threads(struct report *report, struct client *clients)
{
    uint32_t count = run.options->threads;
    int rc;

    for (uint32_t i = 0; i < count; i++) {
        rc = pthread_create(&clients[i].thread, NULL, client_main, &clients[i]);
        if (rc) {
            fprintf(stderr, "bench-load: cannot start thread %u: %s\n", i, strerror(rc));
            exit(1); /* the threads already running wait at a barrier for one that will never come */
        }
    }
    pthread_barrier_wait(&run.connected);
    rc = first_error(clients, count);
    if (rc)
        atomic_store_explicit(&run.stop, true, memory_order_relaxed);
    set_times(run.options);
    pthread_barrier_wait(&run.started);
    if (!rc)
        watch_run(report, clients);
    for (uint32_t i = 0; i < count; i++)
        pthread_join(clients[i].thread, NULL);
    return rc;
}

static void note_tls(struct report *report, const struct client *clients)
{
    if (!run.options->tls)
        return;
    report->tls_version = tls_version(clients[0].tls);
    report->tls_suite = tls_suite(clients[0].tls);
}

static int measure(struct report *report, struct client *clients, struct stats *total)
{
    int rc = run_threads(report, clients);

    if (rc) {
        fprintf(stderr, "bench-load: %s: %s\n", run.options->target, strerror(-rc));
        return rc;
    }
    if (report->seconds <= 0) {
        fprintf(stderr, "bench-load: stopped before the measurement began\n");
        return -EINTR;
    }
    for (uint32_t i = 0; i < run.options->threads; i++)
        stats_merge(total, clients[i].stats);
    stats_finish(total);
    note_tls(report, clients);
    if (run.options->json)
        report_json(report);
    else
        report_text(report);
    return total->mismatched || total->malformed || (run.options->active && !total->responses) ? -EPROTO : 0;
}

static int with_clients(void)
{
    const struct options *o = run.options;
    struct client *clients = calloc(o->threads, sizeof(*clients));
    struct stats *total = malloc(sizeof(*total));
    struct report report = {.options = o, .io = run.io->name, .stats = total};
    int rc = clients && total ? 0 : -ENOMEM;

    pthread_barrier_init(&run.connected, NULL, o->threads + 1);
    pthread_barrier_init(&run.started, NULL, o->threads + 1);
    for (uint32_t i = 0; i < o->threads && !rc; i++)
        rc = client_create(&clients[i], &run, i);
    if (rc) {
        fprintf(stderr, "bench-load: %s\n", strerror(-rc));
    } else {
        stats_reset(total);
        rc = measure(&report, clients, total);
    }
    for (uint32_t i = 0; clients && i < o->threads; i++)
        client_destroy(&clients[i]);
    free(clients);
    free(total);
    return rc;
}

/* One try of what the threads will do: containers refuse io_uring, and old kernels lack part of it. */
static const struct io *choose_io(const struct options *o)
{
    struct client probe = {.o = o};
    void *state;

    if (o->force_epoll)
        return &io_epoll_backend;
    state = io_uring_backend.create(&probe, 1, 2048);
    if (state) {
        io_uring_backend.destroy(state);
        return &io_uring_backend;
    }
    fprintf(stderr, "bench-load: io_uring: %s%s\n", strerror(errno), o->force_uring ? "" : "; using epoll");
    return o->force_uring ? NULL : &io_epoll_backend;
}

int main(int argc, char **argv)
{
    static struct options options;
    struct request_set requests;
    enum options_result result = options_parse(argc, argv, &options);
    int rc;

    if (result != OPTIONS_RUN)
        return result == OPTIONS_HELP ? 0 : 2;
    if (raise_file_limit(options.connections))
        return 2;
    if (request_set_create(&requests, &options)) {
        request_set_destroy(&requests);
        return 2;
    }
    run.options = &options;
    run.requests = &requests;
    run.io = choose_io(&options);
    watch_signals();
    rc = run.io ? with_clients() : -ENOSYS;
    request_set_destroy(&requests);
    return rc ? 1 : 0;
}
