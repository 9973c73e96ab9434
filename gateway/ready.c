/* SPDX-License-Identifier: Apache-2.0 */
/* /healthz, /readyz and the metrics that say the same. */
#include "gateway/task/ready.h"
#include "gateway.h"

static void write_live(void *context, struct task *t, struct tg_json_writer *w)
{
    (void)context, (void)t;
    tg_json_write_raw(w, TG_STR("{\"status\":\"ok\"}"));
}

/* Where clients of this gateway look for errors. */
static void write_error(struct tg_json_writer *w)
{
    const struct tg_status_info *info = tg_status_info(TG_NOT_READY);
    TG_JSON_KEY(w, "error");
    tg_json_write_begin_object(w);
    TG_JSON_KEY(w, "code");
    tg_json_write_string(w, info->code);
    TG_JSON_KEY(w, "message");
    tg_json_write_string(w, info->message);
    tg_json_write_end_object(w);
    TG_JSON_KEY(w, "code");
    tg_json_write_string(w, info->code);
    TG_JSON_KEY(w, "message");
    tg_json_write_string(w, info->message);
}

static void write_reasons(struct tg_json_writer *w, uint32_t reasons)
{
    TG_JSON_KEY(w, "reasons");
    tg_json_write_begin_array(w);
    for (uint32_t i = 0; i < READY_REASONS; i++)
        if (reasons >> i & 1)
            tg_json_write_string(w, (struct tg_str){ready_words[i], strlen(ready_words[i])});
    tg_json_write_end_array(w);
}

static void write_device(struct tg_json_writer *w, const char *name, uint32_t reasons, bool *any)
{
    if (!reasons)
        return;
    if (!*any) {
        TG_JSON_KEY(w, "degraded");
        tg_json_write_begin_array(w);
    }
    *any = true;
    tg_json_write_begin_object(w);
    TG_JSON_KEY(w, "device");
    tg_json_write_string(w, (struct tg_str){name, strlen(name)});
    write_reasons(w, reasons);
    tg_json_write_end_object(w);
}

/* Devices that are out of service, whether or not others serve in their place. */
static void write_degraded(const struct gateway *g, struct tg_json_writer *w)
{
    bool any = false;
    write_device(w, DEVICE_MISSING, devices_missing(g), &any);
    for (uint32_t i = 0; i < g->devices.count; i++)
        write_device(w, g->devices.list[i].name, device_reasons(&g->devices.list[i]), &any);
    if (any)
        tg_json_write_end_array(w);
}

static void write_ready(void *context, struct task *t, struct tg_json_writer *w)
{
    const struct worker *worker = context;
    uint32_t reasons = ready_reasons(&worker->gateway->admission);
    if (t->status != TG_OK && reasons == 0) /* it has become ready meanwhile; the status is said already */
        reasons = READY_STARTING;
    if (t->status == TG_OK)
        reasons = 0;
    tg_json_write_begin_object(w);
    TG_JSON_KEY(w, "ready");
    tg_json_write_bool(w, reasons == 0);
    write_reasons(w, reasons);
    write_degraded(worker->gateway, w);
    if (reasons)
        write_error(w);
    tg_json_write_end_object(w);
}

const struct task_reply live_reply = {"application/json", write_live};
const struct task_reply ready_reply = {"application/json", write_ready};

void ready_export(const struct gateway *g, struct metrics_text *t)
{
    uint32_t reasons = ready_reasons(&g->admission);
    metrics_printf(t, "# HELP taskgate_ready Whether /readyz says so.\n# TYPE taskgate_ready gauge\ntaskgate_ready %d\n"
                      "# HELP taskgate_not_ready_reason Why it does not.\n# TYPE taskgate_not_ready_reason gauge\n",
                   reasons == 0);
    for (uint32_t i = 0; i < READY_REASONS; i++)
        metrics_printf(t, "taskgate_not_ready_reason{reason=\"%s\"} %u\n", ready_words[i], reasons >> i & 1);
}
