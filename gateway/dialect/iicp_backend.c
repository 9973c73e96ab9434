/* SPDX-License-Identifier: Apache-2.0 */
/* Names of a backend's states, and the object that tells them. */
#include "iicp_backend.h"

struct tg_str iicp_backend_state_name(enum iicp_backend_state state)
{
    static const struct tg_str names[] = {TG_STR_INIT("ok"), TG_STR_INIT("degraded"),
                                          TG_STR_INIT("draining")};
    return names[state];
}

struct tg_str iicp_backend_reason_name(enum iicp_backend_reason reason)
{
    static const struct tg_str names[] = {TG_STR_INIT("ok"), TG_STR_INIT("backend_cold"),
                                          TG_STR_INIT("backend_loading"), TG_STR_INIT("backend_unstable"),
                                          TG_STR_INIT("observer_error")};
    return names[reason];
}

void iicp_backend_write(struct iicp_backend b, struct tg_json_writer *w)
{
    tg_json_write_begin_object(w);
    TG_JSON_KEY(w, "backend_state");
    tg_json_write_string(w, iicp_backend_state_name(b.state));
    TG_JSON_KEY(w, "reason_class");
    tg_json_write_string(w, iicp_backend_reason_name(b.reason));
    if (b.retry_after_s) {
        TG_JSON_KEY(w, "retry_after_s");
        tg_json_write_u64(w, b.retry_after_s);
    }
    if (b.drain_until_s) {
        TG_JSON_KEY(w, "drain_until");
        tg_json_write_u64(w, b.drain_until_s);
    }
    tg_json_write_end_object(w);
}
