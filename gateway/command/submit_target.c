/* SPDX-License-Identifier: Apache-2.0 */
/* Whom to send a task: the address given, or those of the directory's nodes that may be used. */
#include "submit.h"
#include "gateway/control/outbound.h"

static struct tg_str text(const char *s)
{
    return (struct tg_str){s ? s : "", s ? strlen(s) : 0};
}

static enum submit_outcome find_by_url(const struct submit *s, struct crypto *crypto,
                                       struct submit_targets *out)
{
    struct submit_target *t = &out->list[0];
    struct outbound_url parts;
    const char *wrong = outbound_url_parse(text(s->url), &parts);
    *t = (struct submit_target){.node_id = "the node"};
    if (wrong || !ask_url(t->url, s->url, "/v1/task")) {
        fprintf(stderr, "taskgate submit: --url: %s\n", wrong ? wrong : "is too long");
        return SUBMIT_NO_NODE;
    }
    if (s->cx && iicp_cx_peer_from_key(crypto, text(s->cx_key), &t->peer) < 0) {
        fputs("taskgate submit: --cx-key: is no X25519 key in base64url (43 characters)\n", stderr);
        return SUBMIT_NO_NODE;
    }
    out->count = 1;
    return SUBMIT_DONE;
}

/* ---- found nodes ------------------------------------------------------------------------------------- */

/* Why not this one, or NULL. */
static const char *unfit(const struct submit *s, struct crypto *crypto, const struct tg_json_doc *doc,
                         const struct iicp_found *f, struct submit_target *t)
{
    struct outbound_url parts;
    *t = (struct submit_target){.learnt = true};
    memcpy(t->node_id, f->node_id, sizeof(t->node_id));
    if (outbound_url_parse(text(f->endpoint), &parts) || !ask_url(t->url, f->endpoint, "/v1/task"))
        return "its endpoint is no address to call";
    if (!s->allow_private && outbound_host_private(parts.host))
        return "its endpoint is not public (--allow-private, in a lab)";
    if (!s->cx)
        return NULL;
    if (!f->cx_public_key)
        return "it has no key for confidential tasks";
    if (iicp_cx_peer_read(crypto, doc, f->cx_public_key, &t->peer) < 0)
        return "its key for confidential tasks is not sound";
    return t->peer.seals_replies ? NULL : "it does not seal replies";
}

static void choose(const struct submit *s, struct crypto *crypto, const struct found_nodes *found,
                   bool available, struct submit_targets *out)
{
    for (uint32_t i = 0; i < found->count; i++) {
        const struct iicp_found *f = &found->nodes[i];
        if (f->available != available || (s->node && strcmp(f->node_id, s->node) != 0))
            continue;
        const char *why = unfit(s, crypto, &found->answer.doc, f, &out->list[out->count]);
        if (why)
            submit_say(s, "%s is passed over: %s", f->node_id, why);
        else
            out->count++;
    }
}

static enum submit_outcome find_by_directory(const struct submit *s, const struct config *config,
                                             struct client *client, struct crypto *crypto,
                                             struct submit_targets *out)
{
    static struct found_nodes found; /* large */
    struct iicp_discover question = {.intent = text(s->intent),
                                     .region = text(s->region),
                                     .model = text(s->model),
                                     .limit = s->node ? FINDER_NODES_MAX : 0,
                                     .min_reputation = -1,
                                     .max_multiplier = -1};
    bool answered = finder_discover(client, "submit", config, &question, &found);
    if (answered) {
        choose(s, crypto, &found, true, out);
        choose(s, crypto, &found, false, out); /* perhaps they are by now */
    }
    bool any = found.count > 0;
    found_finish(&found);
    if (!answered)
        return config->directory_url[0] ? SUBMIT_NOT_REACHED : SUBMIT_NO_NODE;
    if (out->count)
        return SUBMIT_DONE;
    fprintf(stderr, "taskgate submit: %s\n",
            any ? "no node found may be used" : "the directory knows no such node");
    return SUBMIT_NO_NODE;
}

enum submit_outcome submit_find(const struct submit *s, const struct config *config, struct client *client,
                                struct crypto *crypto, struct submit_targets *out)
{
    out->count = 0;
    return s->url ? find_by_url(s, crypto, out) : find_by_directory(s, config, client, crypto, out);
}
