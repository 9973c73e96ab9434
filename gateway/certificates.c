/* SPDX-License-Identifier: Apache-2.0 */
/* TLS as the operator configured it: opened at start, read again on SIGHUP and when the files change. */
#include <errno.h>
#include "gateway/base/clock.h"
#include "gateway/base/log.h"
#include "gateway/net/tls.h"
#include "gateway.h"

static struct tls_settings settings_of(const struct config *c)
{
    static const enum tls_client_auth auth[] = {
        [CONFIG_TLS_CLIENT_NONE] = TLS_CLIENT_NONE,
        [CONFIG_TLS_CLIENT_OPTIONAL] = TLS_CLIENT_OPTIONAL,
        [CONFIG_TLS_CLIENT_REQUIRED] = TLS_CLIENT_REQUIRED,
    };
    return (struct tls_settings){
        .certificate = c->tls_certificate,
        .key = c->tls_key,
        .client_ca = c->tls_client_ca,
        .client_auth = auth[c->tls_client_auth],
        .only_1_3 = c->tls_min_version == CONFIG_TLS_1_3,
        .handshake_ns = c->timeout_header_ms * NS_PER_MS,
    };
}

int certificates_open(struct gateway *g)
{
    char error[TLS_ERROR_BYTES];
    if (g->config.server_tls_listen.count == 0)
        return 0;
    struct tls_settings s = settings_of(&g->config);
    int rc = tls_store_open(&s, TG_MAX(g->worker_count, 1u), &g->tls, error);
    if (rc < 0)
        log_error("%s", error);
    return rc;
}

void certificates_reload(struct gateway *g)
{
    char error[TLS_ERROR_BYTES];
    if (!g->tls)
        return;
    struct tls_settings s = settings_of(&g->config);
    if (tls_store_reload(g->tls, &s, error) < 0)
        log_error("reload: %s; the old certificate stays in use", error);
    else
        log_info("reload: new connections get the certificate in %s", s.certificate);
}

void certificates_look(struct gateway *g)
{
    char error[TLS_ERROR_BYTES];
    int rc = g->tls ? tls_store_look(g->tls, error) : 0;
    if (rc < 0)
        log_error("certificate files changed: %s; the old certificate stays in use", error);
    else if (rc > 0)
        log_info("certificate files changed: new connections get the certificate in %s",
                 g->config.tls_certificate);
}
