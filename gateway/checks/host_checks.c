/* SPDX-License-Identifier: Apache-2.0 */
/* What `taskgate doctor` can only learn from the gateway's own parts: runners, ports, the network loop,
 * certificates. */
#include <errno.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "gateway/net/net.h"
#include "gateway/net/tls.h"
#include "gpu/runner.h"
#include "host_checks.h"

#define CERTIFICATE_WARN_DAYS 14

/* ---- runners ----------------------------------------------------------------------------------------- */

static bool known(const struct config_runner *r, const char **type)
{
    *type = "none";
    for (size_t i = 0; i < r->option_count; i++)
        if (strcmp(r->options[i].key, "type") == 0)
            *type = r->options[i].value;
        else if (strcmp(r->options[i].key, "plugin") == 0)
            return access(r->options[i].value, R_OK) == 0;
    return tg_runner_find(*type) != NULL;
}

static void check_runners(struct doctor *d, struct doctor_finding *f)
{
    const char *type;
    for (size_t i = 0; i < d->config->runner_count; i++)
        if (!known(&d->config->runners[i], &type)) {
            doctor_say(f, DOCTOR_FAIL, DOCTOR_LOCAL_UNHEALTHY, "taskgate serve --check-config tells more",
                       "runner.%s: its type or plugin (%s) is not there", d->config->runners[i].name, type);
            return;
        }
    doctor_say(f, d->config->runner_count ? DOCTOR_OK : DOCTOR_FAIL,
               d->config->runner_count ? DOCTOR_HEALTHY : DOCTOR_LOCAL_UNHEALTHY, "", "%zu configured",
               d->config->runner_count);
}

/* ---- ports ------------------------------------------------------------------------------------------- */

static bool check_ports_of(const struct config_listen *list, struct doctor_finding *f)
{
    char error[256];
    for (uint32_t i = 0; i < list->count; i++)
        if (strncmp(list->address[i], LISTEN_UNIX "/", strlen(LISTEN_UNIX) + 1) != 0 &&
            listen_check_free(list->address[i], error, sizeof(error)) < 0) {
            doctor_say(f, DOCTOR_FAIL, DOCTOR_LOCAL_UNHEALTHY,
                       "stop what listens there, or change server.listen", "%s", error);
            return false;
        }
    return true;
}

static void check_ports(struct doctor *d, struct doctor_finding *f)
{
    if (doctor_node_runs(d))
        doctor_say(f, DOCTOR_OK, DOCTOR_HEALTHY, "", "in use by the running node");
    else if (check_ports_of(&d->config->server_listen, f) && check_ports_of(&d->config->server_tls_listen, f))
        doctor_say(f, DOCTOR_OK, DOCTOR_HEALTHY, "", "free");
}

/* ---- the network loop -------------------------------------------------------------------------------- */

static void check_io(struct doctor *d, struct doctor_finding *f)
{
    static const struct net_handlers nobody;
    static const char *const wanted[] = {"auto", "io_uring", "epoll"};
    struct net_options o = {.handlers = &nobody,
                            .wake_fd = eventfd(0, EFD_CLOEXEC),
                            .conns_max = 16,
                            .buffers = 16,
                            .buffer_bytes = 4096};
    struct net *net = NULL;
    char why[256] = "";
    int rc = net_create(wanted[d->config->server_io], &o, &net, why, sizeof(why));
    if (rc < 0)
        doctor_say(f, DOCTOR_FAIL, DOCTOR_LOCAL_UNHEALTHY, "server.io = \"auto\" falls back to epoll",
                   "%s is refused here: %s", wanted[d->config->server_io], strerror(-rc));
    else if (why[0])
        doctor_say(f, DOCTOR_WARN, DOCTOR_HEALTHY,
                   "allow it (seccomp, kernel.io_uring_disabled, memlock), or set server.io = \"epoll\"",
                   "epoll: %s", why);
    else
        doctor_say(f, DOCTOR_OK, DOCTOR_HEALTHY, "", "%s", net->ops->name);
    if (net)
        net->ops->destroy(net);
    if (o.wake_fd >= 0)
        close(o.wake_fd);
}

/* ---- certificates ------------------------------------------------------------------------------------ */

/* Days until it is no longer valid; negative if it is not. False if the file has none. */
static bool days_left(const char *path, int *days)
{
    FILE *in = fopen(path, "re");
    X509 *x = in ? PEM_read_X509(in, NULL, NULL, NULL) : NULL;
    int seconds = 0;
    bool fine = x && ASN1_TIME_diff(days, &seconds, NULL, X509_get0_notAfter(x)) == 1;
    if (fine && *days == 0 && seconds < 0)
        *days = -1;
    if (fine && X509_cmp_current_time(X509_get0_notBefore(x)) > 0)
        *days = -1;
    X509_free(x);
    if (in)
        fclose(in);
    return fine;
}

static struct tls_settings tls_of(const struct config *c)
{
    return (struct tls_settings){
        .certificate = c->tls_certificate,
        .key = c->tls_key,
        .client_ca = c->tls_client_ca,
        .client_auth = (enum tls_client_auth)c->tls_client_auth,
        .only_1_3 = c->tls_min_version == CONFIG_TLS_1_3,
    };
}

static void check_certificate(struct doctor *d, struct doctor_finding *f)
{
    struct tls_settings settings = tls_of(d->config);
    struct tls_store *store = NULL;
    char error[TLS_ERROR_BYTES] = "";
    int days = 0;
    if (d->config->server_tls_listen.count == 0) {
        doctor_say(f, DOCTOR_OK, DOCTOR_HEALTHY, "", "nothing listens for TLS");
        return;
    }
    if (tls_store_open(&settings, 1, &store, error) < 0)
        doctor_say(f, DOCTOR_FAIL, DOCTOR_LOCAL_UNHEALTHY, "see docs/tls.md", "%s", error);
    else if (!days_left(d->config->tls_certificate, &days) || days < 0)
        doctor_say(f, DOCTOR_FAIL, DOCTOR_LOCAL_UNHEALTHY, "renew tls.certificate",
                   "the certificate is not valid now");
    else
        doctor_say(f, days < CERTIFICATE_WARN_DAYS ? DOCTOR_WARN : DOCTOR_OK, DOCTOR_HEALTHY,
                   days < CERTIFICATE_WARN_DAYS ? "renew tls.certificate" : "", "valid for %d more days",
                   days);
    if (store)
        tls_store_close(store);
}

static const struct doctor_check checks[] = {
    {"runners", check_runners},         {"ports", check_ports},     {"io", check_io},
    {"certificate", check_certificate}, {"memlock", check_memlock}, {"huge-pages", check_huge_pages},
    {"placement", check_placement},     {"gpu", check_gpu},         {"toolkit", check_toolkit},
};

const struct doctor_checks host_checks = {checks, TG_ARRAY_SIZE(checks)};
