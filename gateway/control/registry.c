/* SPDX-License-Identifier: Apache-2.0 */
/* The look into the registry. Only a plain 404 counts as absence: an outage says nothing. */
#include "gateway/base/log.h"
#include "registry.h"

void registry_init(struct registry *r, const struct directory_link *link)
{
    *r = (struct registry){.link = link};
}

static void answered(void *context, const struct call_reply *reply)
{
    struct registry *r = context;
    if (reply->status == 200)
        r->absences = 0;
    if (reply->status != 404)
        return;
    r->absences++;
    r->absent = true;
    log_warn("directory: its registry does not list this node (%u in a row)", r->absences);
}

void registry_look(struct registry *r, struct tg_str node_id)
{
    char path[512] = "/v1/registry/nodes/";
    size_t len = strlen(path);
    if (call_active(&r->call) ||
        !iicp_percent_append(path, sizeof(path), &len, iicp_registry_prefix(node_id)))
        return;
    call_directory(&r->call, r->link, &(struct call_request){.method = "GET", .url = path}, answered, r);
}

void registry_stop(struct registry *r)
{
    call_cancel(&r->call);
}
