/* SPDX-License-Identifier: Apache-2.0 */
/* What can be seen on this host: files, limits, and the node itself. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include "doctor.h"
#include "gateway/control/store.h"
#include "show.h"

static void check_config(struct doctor *d, struct doctor_finding *f)
{
    if (d->config->path)
        doctor_say(f, DOCTOR_OK, DOCTOR_HEALTHY, "", "valid: %s", d->config->path);
    else
        doctor_say(f, DOCTOR_WARN, DOCTOR_HEALTHY, "taskgate init writes one",
                   "no file: the defaults, flags and environment are valid");
}

/* ---- the state folder -------------------------------------------------------------------------------- */

static void check_folder(const char *folder, struct doctor_finding *f)
{
    struct stat s;
    if (stat(folder, &s) < 0 && errno == ENOENT)
        doctor_say(f, DOCTOR_OK, DOCTOR_HEALTHY, "", "%s is not there yet: it is made when needed", folder);
    else if (!S_ISDIR(s.st_mode) || access(folder, W_OK | X_OK) < 0)
        doctor_say(f, DOCTOR_FAIL, DOCTOR_LOCAL_UNHEALTHY,
                   "set node.state_dir to a folder that this user can write to", "%s cannot be written to",
                   folder);
    else if (s.st_mode & 022)
        doctor_say(f, DOCTOR_WARN, DOCTOR_HEALTHY, "chmod go-w it", "%s can be written to by others", folder);
    else
        doctor_say(f, DOCTOR_OK, DOCTOR_HEALTHY, "", "%s", folder);
}

static void check_state_dir(struct doctor *d, struct doctor_finding *f)
{
    char folder[STORE_PATH_MAX];
    if (store_dir(d->config->node_state_dir, folder))
        check_folder(folder, f);
    else
        doctor_say(f, DOCTOR_WARN, DOCTOR_HEALTHY, "set node.state_dir",
                   "no home and no node.state_dir: nothing outlives the process");
}

/* 1: fine, 0: not there, negative: errno of what is wrong. */
static int look_at_secret(const char *path)
{
    char bytes[8192];
    int64_t len = store_read(path, true, bytes, sizeof(bytes));
    explicit_bzero(bytes, sizeof(bytes));
    return len == -ENOENT ? 0 : len < 0 ? (int)len : 1;
}

static void check_credentials(struct doctor *d, struct doctor_finding *f)
{
    char folder[STORE_PATH_MAX], path[STORE_PATH_MAX + 128];
    if (!store_dir(d->config->node_state_dir, folder))
        folder[0] = '\0';
    snprintf(path, sizeof(path), "%s/nodes/%s.json", folder, d->config->node_name);
    int rc = look_at_secret(path);
    if (rc == -EACCES)
        doctor_say(f, DOCTOR_FAIL, DOCTOR_LOCAL_UNHEALTHY,
                   "chmod 0600 it; if strangers may have read it, register anew",
                   "%s is not this user's alone: serve does not start with it", path);
    else if (rc < 0)
        doctor_say(f, DOCTOR_FAIL, DOCTOR_LOCAL_UNHEALTHY, "look at the file", "%s cannot be read: %s", path,
                   strerror(-rc));
    else
        doctor_say(f, DOCTOR_OK, DOCTOR_HEALTHY, "",
                   rc ? "stored, and this user's alone" : "none stored yet");
}

/* ---- limits ------------------------------------------------------------------------------------------ */

static void check_descriptors(struct doctor *d, struct doctor_finding *f)
{
    struct rlimit r;
    unsigned long wanted = d->config->limits_connections + 256ul;
    if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_max < wanted)
        doctor_say(f, DOCTOR_WARN, DOCTOR_HEALTHY,
                   "raise the hard limit (LimitNOFILE=), or lower limits.connections",
                   "%lu descriptors are allowed, limits.connections wants %lu", (unsigned long)r.rlim_max,
                   wanted);
    else
        doctor_say(f, DOCTOR_OK, DOCTOR_HEALTHY, "", "enough for limits.connections");
}

/* ---- the node ---------------------------------------------------------------------------------------- */

static void check_health_file(struct doctor *d, struct doctor_finding *f)
{
    const char *why = d->has_snapshot ? snapshot_objection(&d->snapshot, snapshot_now_ms(), true) : NULL;
    if (!d->config->node_health_file)
        doctor_say(f, DOCTOR_OK, DOCTOR_HEALTHY, "", "node.health_file is off");
    else if (!d->has_snapshot)
        doctor_say(f, DOCTOR_WARN, DOCTOR_LOCAL_UNHEALTHY,
                   "taskgate serve, with the same node.name and node.state_dir",
                   "no health file: the node does not run");
    else if (strcmp(d->snapshot.lifecycle, "stopped") == 0)
        doctor_say(f, DOCTOR_WARN, DOCTOR_LOCAL_UNHEALTHY, "taskgate serve", "the node has been stopped");
    else if (why)
        doctor_say(f, DOCTOR_FAIL, DOCTOR_LOCAL_UNHEALTHY, "look at the node's log", "%s%s%s", why,
                   d->snapshot.reasons[0] ? ": " : "", d->snapshot.reasons);
    else if (strcmp(d->snapshot.readiness, "degraded") == 0)
        doctor_say(f, DOCTOR_WARN, DOCTOR_HEALTHY, "look at the node's log", "degraded: %s",
                   d->snapshot.reasons);
    else
        doctor_say(f, DOCTOR_OK, DOCTOR_HEALTHY, "", "live and ready, process %lld",
                   (long long)d->snapshot.pid);
}

static void check_health(struct doctor *d, struct doctor_finding *f)
{
    const struct tg_json_node *available = answer_get(&d->health, "available");
    bool stopped = !d->has_snapshot || strcmp(d->snapshot.lifecycle, "stopped") == 0;
    if (d->health.error == -ENOTSUP)
        doctor_say(f, DOCTOR_OK, DOCTOR_HEALTHY, "", "not asked: it listens on no TCP address");
    else if (d->health.error && stopped)
        doctor_say(f, DOCTOR_WARN, DOCTOR_LOCAL_UNHEALTHY, "taskgate serve",
                   "nobody answers: the node does not run");
    else if (d->health.error)
        doctor_say(f, DOCTOR_FAIL, DOCTOR_LOCAL_UNHEALTHY,
                   "look at the node's log; does it listen where this configuration says?",
                   "nobody answers at server.listen: %s", d->health.why);
    else if (!doctor_node_runs(d))
        doctor_say(f, DOCTOR_FAIL, DOCTOR_LOCAL_UNHEALTHY,
                   "another program has the port: change server.listen",
                   "what answers at server.listen is no node");
    else if (!available || available->type != TG_JSON_TRUE)
        doctor_say(f, DOCTOR_WARN, DOCTOR_HEALTHY, "more admission.max_concurrent, or wait",
                   "takes no more tasks at the moment");
    else
        doctor_say(f, DOCTOR_OK, DOCTOR_HEALTHY, "", "%s answers and takes tasks", d->node_id);
}

static void check_backend(struct doctor *d, struct doctor_finding *f)
{
    const struct tg_json_node *b = answer_get(&d->health, "backend_stability");
    char state[32] = "", reason[48] = "";
    if (b && b->type == TG_JSON_OBJECT) {
        show_copy(&d->health.doc, tg_json_get(&d->health.doc, b, TG_STR("backend_state")), state,
                  sizeof(state));
        show_copy(&d->health.doc, tg_json_get(&d->health.doc, b, TG_STR("reason_class")), reason,
                  sizeof(reason));
    }
    if (!d->config->backend_url[0])
        doctor_say(f, DOCTOR_OK, DOCTOR_HEALTHY, "", "none is configured");
    else if (!b)
        doctor_say(f, DOCTOR_OK, DOCTOR_HEALTHY, "", "the node does not run, nobody watches it");
    else if (strcmp(state, "ok") == 0)
        doctor_say(f, DOCTOR_OK, DOCTOR_HEALTHY, "", "ok");
    else
        doctor_say(f, strcmp(state, "draining") == 0 ? DOCTOR_FAIL : DOCTOR_WARN, DOCTOR_BACKEND_ATTENTION,
                   "look at the model server behind backend.url", "%s: %s", state, reason);
}

/* A file newer than the process that read it: perhaps it was reloaded, perhaps it waits. */
static void check_restart(struct doctor *d, struct doctor_finding *f)
{
    struct stat s;
    bool runs = d->has_snapshot && doctor_node_runs(d);
    if (runs && d->config->path && stat(d->config->path, &s) == 0 &&
        (int64_t)s.st_mtime * 1000 > d->snapshot.epoch_ms)
        doctor_say(f, DOCTOR_WARN, DOCTOR_RESTART_RECOMMENDED,
                   "reload (SIGHUP), or restart where the log said so",
                   "the configuration is newer than the running process");
    else
        doctor_say(f, DOCTOR_OK, DOCTOR_HEALTHY, "",
                   runs ? "the running process is newer than its configuration" : "nothing runs");
}

const struct doctor_check doctor_local_checks[] = {
    {"config", check_config},           {"state-dir", check_state_dir},
    {"credentials", check_credentials}, {"descriptors", check_descriptors},
    {"health-file", check_health_file}, {"health", check_health},
    {"backend", check_backend},         {"restart", check_restart},
};
const uint32_t doctor_local_count = TG_ARRAY_SIZE(doctor_local_checks);
