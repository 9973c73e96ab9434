/* SPDX-License-Identifier: Apache-2.0 */
/* What this node says of itself, put together when it is said. */
#include "directory_parts.h"

/* Capabilities served by the backend have its models, as far as they are known. */
static void describe_capabilities(struct directory *d, struct iicp_registration *out)
{
    const struct iicp_registration *fixed = &d->options.registration;
    if (!d->options.from_backend || d->offered.count == 0)
        return;
    for (uint32_t i = 0; i < fixed->capability_count; i++) {
        d->capabilities[i] = fixed->capabilities[i];
        if (d->options.from_backend[i])
            d->capabilities[i].models = (struct iicp_texts){d->offered.names, d->offered.count};
    }
    out->capabilities = d->capabilities;
}

/* Signed pricing goes with heartbeats, since the key that a registration brings is not known before its answer; with the
 * first registration only if the key is our own, in the same request. */
static void sign_price(struct directory *d, struct iicp_pricing *p)
{
    struct tg_str key = d->options.registration.node_hmac_key;
    if (p->declared && d->options.sign_pricing && key.len &&
        iicp_sign_pricing(d->link.crypto, key, p->multiplier, iicp_pricing_model_name(p->model), d->price) == 0)
        p->signature = (struct tg_str){d->price, sizeof(d->price)};
}

void directory_describe(void *context, struct iicp_registration *out)
{
    struct directory *d = context;
    if (d->models.latest.count)
        model_set_copy(&d->offered, &d->models.latest);
    *out = d->options.registration;
    out->max_concurrent = d->capacity.base;
    out->pricing = d->options.pricing;
    sign_price(d, &out->pricing);
    iicp_windows_to_utc(&d->capacity.windows, d->capacity.offset_s, &out->availability);
    describe_capabilities(d, out);
}

void directory_sample(void *context, struct heartbeat_sample *out)
{
    struct directory *d = context;
    bool watched = d->options.backend.url && d->options.backend.url[0];
    *out = (struct heartbeat_sample){.base_concurrent = d->capacity.base,
                                     .effective_concurrent = d->capacity.effective,
                                     .has_backend = watched,
                                     .backend = backend_now(&d->backend)};
    if (d->registered.count)
        out->models = (struct iicp_texts){d->registered.names, d->registered.count};
    d->hooks.observe(d->hooks.context, out);
}
