/* SPDX-License-Identifier: Apache-2.0 */
/* The health file: its content from a few inputs, and the part that keeps it fresh. */
#include "health_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "gateway/base/clock.h"
#include "gateway/base/log.h"
#include "store.h"
#include "tg/json.h"

enum readiness { READY, DEGRADED, NOT_READY };

struct health_file {
    struct health_file_options options;
    char path[STORE_PATH_MAX];
    int lock_fd;
    struct health_header header;
    uint64_t due_ns;
    bool failing; /* said already */
};

/* ---- the content ------------------------------------------------------------------------------------------- */

static const struct {
    struct tg_str code;
    enum readiness weight;
} reasons[] = {
#define HEALTH_REASON_ROW(id, code, weight) {TG_STR_INIT(code), weight},
    HEALTH_REASONS(HEALTH_REASON_ROW)
#undef HEALTH_REASON_ROW
};

static bool stalled(const struct health_inputs *in)
{
    return in->progress_age_ms > HEALTH_FILE_STALE_MS;
}

static bool holds(const struct health_inputs *in, uint32_t reason)
{
    switch (reason) {
    case HEALTH_REASON_DRAINING:
        return in->reasons[reason] || in->lifecycle >= HEALTH_DRAINING;
    case HEALTH_REASON_RUNTIME_STALLED:
        return in->reasons[reason] || stalled(in);
    default:
        return in->reasons[reason];
    }
}

static struct tg_str lifecycle_of(const struct health_inputs *in)
{
    static const struct tg_str names[] = {
        [HEALTH_STARTING] = TG_STR_INIT("starting"),
        [HEALTH_SERVING] = TG_STR_INIT("serving"),
        [HEALTH_DRAINING] = TG_STR_INIT("draining"),
        [HEALTH_STOPPED] = TG_STR_INIT("stopped"),
    };
    return names[in->lifecycle];
}

static struct tg_str liveness_of(const struct health_inputs *in)
{
    if (in->lifecycle == HEALTH_STARTING)
        return TG_STR("starting");
    return in->lifecycle == HEALTH_STOPPED || stalled(in) ? TG_STR("not_live") : TG_STR("live");
}

static struct tg_str readiness_of(const struct health_inputs *in)
{
    static const struct tg_str names[] = {TG_STR_INIT("ready"), TG_STR_INIT("degraded"), TG_STR_INIT("not_ready")};
    enum readiness worst = in->lifecycle == HEALTH_SERVING ? READY : NOT_READY;
    for (uint32_t i = 0; i < HEALTH_REASON_COUNT; i++)
        if (holds(in, i))
            worst = TG_MAX(worst, reasons[i].weight);
    return names[worst];
}

static void write_time(struct tg_json_writer *w, int64_t unix_ms)
{
    char text[40], whole[24];
    time_t seconds = (time_t)(unix_ms / 1000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    strftime(whole, sizeof(whole), "%Y-%m-%dT%H:%M:%S", &tm);
    int len = snprintf(text, sizeof(text), "%s.%03dZ", whole, (int)(unix_ms % 1000));
    tg_json_write_string(w, (struct tg_str){text, (size_t)len});
}

static void write_reasons(struct tg_json_writer *w, const struct health_inputs *in)
{
    tg_json_write_begin_array(w);
    for (uint32_t i = 0; i < HEALTH_REASON_COUNT; i++)
        if (holds(in, i))
            tg_json_write_string(w, reasons[i].code);
    tg_json_write_end_array(w);
}

static void write_progress(struct tg_json_writer *w, const struct health_inputs *in)
{
    tg_json_write_begin_object(w);
    TG_JSON_KEY(w, "runtime");
    tg_json_write_begin_object(w);
    TG_JSON_KEY(w, "age_ms");
    tg_json_write_u64(w, in->progress_age_ms);
    TG_JSON_KEY(w, "stale_after_ms");
    tg_json_write_u64(w, HEALTH_FILE_STALE_MS);
    tg_json_write_end_object(w);
    tg_json_write_end_object(w);
}

static void write_header(struct tg_json_writer *w, const struct health_header *h)
{
    TG_JSON_KEY(w, "health_schema_version");
    tg_json_write_u64(w, 1);
    TG_JSON_KEY(w, "process_epoch");
    tg_json_write_i64(w, h->epoch_ms);
    TG_JSON_KEY(w, "pid");
    tg_json_write_i64(w, h->pid);
    TG_JSON_KEY(w, "sequence");
    tg_json_write_u64(w, h->sequence);
    TG_JSON_KEY(w, "emitted_at");
    write_time(w, h->now_ms);
}

struct tg_str health_file_print(const struct health_header *header, const struct health_inputs *in,
                                char out[static HEALTH_FILE_BYTES_MAX])
{
    struct tg_json_writer w;
    tg_json_writer_init(&w, out, HEALTH_FILE_BYTES_MAX);
    tg_json_write_begin_object(&w);
    write_header(&w, header);
    TG_JSON_KEY(&w, "lifecycle");
    tg_json_write_string(&w, lifecycle_of(in));
    TG_JSON_KEY(&w, "liveness");
    tg_json_write_string(&w, liveness_of(in));
    TG_JSON_KEY(&w, "readiness");
    tg_json_write_string(&w, readiness_of(in));
    TG_JSON_KEY(&w, "reason_codes");
    write_reasons(&w, in);
    TG_JSON_KEY(&w, "progress");
    write_progress(&w, in);
    tg_json_write_end_object(&w);
    TG_ASSERT(!w.overflow);
    return (struct tg_str){out, w.len};
}

/* ---- the file ---------------------------------------------------------------------------------------------- */

bool health_file_path(const char *state_dir, const char *node_name, char *out, size_t cap)
{
    if (node_name[0] == '\0' || node_name[0] == '.' || strchr(node_name, '/'))
        return false;
    int len = snprintf(out, cap, "%s/run/%s/health-v1.json", state_dir, node_name);
    return len > 0 && (size_t)len < cap;
}

/* Said once until it works again. */
static void report(struct health_file *h, int rc)
{
    if (rc < 0 && !h->failing)
        log_warn("cannot write the health file %s: %s", h->path, strerror(-rc));
    if (rc == 0 && h->failing)
        log_info("the health file %s is written again", h->path);
    h->failing = rc < 0;
}

static void emit(struct health_file *h, const struct health_inputs *in)
{
    char text[HEALTH_FILE_BYTES_MAX];
    h->header.sequence++;
    h->header.now_ms = h->options.host->unix_ms(h->options.host->context);
    struct tg_str content = health_file_print(&h->header, in, text);
    int rc = store_write_fast(h->path, content);
    if (rc == -ENOENT) { /* somebody has tidied up */
        store_make_parent(h->path);
        rc = store_write_fast(h->path, content);
    }
    report(h, rc);
}

static struct health_inputs look(struct health_file *h)
{
    struct health_inputs in = {0};
    h->options.look(h->options.context, &in);
    return in;
}

static uint64_t turn(void *self, uint64_t now_ns)
{
    struct health_file *h = self;
    if (now_ns >= h->due_ns) {
        struct health_inputs in = look(h);
        emit(h, &in);
        h->due_ns = now_ns + HEALTH_FILE_PERIOD_MS * NS_PER_MS;
    }
    return h->due_ns;
}

static void leave(void *self)
{
    struct health_file *h = self;
    h->due_ns = 0; /* a probe should know at once */
}

static void finish(void *self)
{
    struct health_file *h = self;
    struct health_inputs in = look(h);
    in.lifecycle = HEALTH_STOPPED;
    emit(h, &in);
    close(h->lock_fd);
    free(h);
}

/* Two processes of one name would contradict each other every few seconds. */
static int lock(struct health_file *h)
{
    char path[STORE_PATH_MAX + 8];
    snprintf(path, sizeof(path), "%s.lock", h->path);
    h->lock_fd = store_lock(path);
    return h->lock_fd < 0 ? h->lock_fd : 0;
}

int health_file_create(const struct health_file_options *o, struct health_file **out)
{
    struct health_file *h = calloc(1, sizeof(*h));
    if (!h)
        return -ENOMEM;
    h->options = *o;
    snprintf(h->path, sizeof(h->path), "%s", o->path);
    h->header = (struct health_header){.epoch_ms = o->host->unix_ms(o->host->context), .pid = getpid()};
    int rc = store_make_parent(h->path);
    if (rc == 0)
        rc = lock(h);
    if (rc < 0) {
        free(h);
        return rc;
    }
    *out = h;
    return 0;
}

struct control_part health_file_part(struct health_file *h)
{
    return (struct control_part){.name = "health file", .turn = turn, .leave = leave, .finish = finish, .self = h};
}
