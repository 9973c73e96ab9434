/* SPDX-License-Identifier: Apache-2.0 */
/* `taskgate register` and `deregister`: one step of a node's life in its directory, by the same parts that
 * serving uses. */
#include "register.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>
#include "gateway/control/auth_file.h"
#include "gateway/control/store.h"
#include "finder.h"
#include "options.h"

enum { EXIT_REFUSED = 1, EXIT_NOT_REACHED = 4 };

static const struct options_spec register_spec = {
    .command = "register",
    .arguments = "[flags]",
    .about = "Registers this node with directory.url, once, and keeps the credentials that come back. A "
             "directory calls the\n"
             "node back first, so that taskgate serve should run; serve registers by itself, and keeps its "
             "place by\n"
             "heartbeats, which this command does not. Exit status: 0 registered, 1 refused, 2 wrong flag,\n"
             "4 no answer, 78 the configuration has errors.",
};

static const struct options_spec deregister_spec = {
    .command = "deregister",
    .arguments = "[flags]",
    .about =
        "Takes this node out of directory.url, with the credentials kept by an earlier registration. "
        "Reputation goes\n"
        "with it. A node that serves deregisters itself when it is stopped. Exit status: 0 the directory no longer\n"
        "lists it, 1 refused, or it serves, 2 wrong flag, 4 no answer,\n"
        "78 the configuration has errors.",
};

struct step {
    struct control *control;
    struct crypto *crypto;
    struct directory_link link;
    struct auth auth;
    char state_dir[STORE_PATH_MAX];
    /* register */
    struct registrar registrar;
    struct directory_metrics metrics;
    struct iicp_registration registration;
    /* deregister */
    struct call call;
    uint32_t status;
    bool over;
};

static void publish_nothing(void *context, const struct iicp_keys *keys)
{
    (void)context, (void)keys;
}

/* SIGINT ends a command at once: nothing is half done that the next run would not repair. */
static void on_signal(void *context, int number)
{
    (void)context;
    signal(number, SIG_DFL);
    raise(number);
}

static bool step_open(struct step *s, const char *url, uint32_t timeout_ms)
{
    struct control_options o = {COMMAND_AGENT, on_signal, s};
    s->crypto = crypto_create();
    if (!s->crypto || control_create(&o, &s->control) < 0)
        return false;
    s->link = (struct directory_link){control_host(s->control), s->crypto, url, timeout_ms};
    return true;
}

/* The id is not the directory's token: a node keeps its own across registrations. */
static void step_identify(struct step *s, struct auth_options who)
{
    who.publish = publish_nothing;
    auth_init(&s->auth, &s->link, &who);
}

static void step_close(struct step *s)
{
    control_destroy(s->control);
    crypto_destroy(s->crypto);
}

/* ---- register ---------------------------------------------------------------------------------------- */

static void describe(void *context, struct iicp_registration *out)
{
    const struct step *s = context;
    *out = s->registration;
}

static bool settled(const struct registrar *r)
{
    return r->accepted || r->hopeless || (r->attempts > 0 && !call_active(&r->call));
}

static uint64_t turn(void *self, uint64_t now_ns)
{
    struct step *s = self;
    return settled(&s->registrar) ? UINT64_MAX : registrar_turn(&s->registrar, now_ns);
}

static int attempt(struct step *s, const struct directory_options *o)
{
    struct control_part part = {.name = "register", .turn = turn, .self = s};
    registrar_init(&s->registrar, &s->link, &s->auth, &s->metrics,
                   &(struct registrar_options){o->heartbeat_ms, o->allow_private, s, describe});
    registrar_want(&s->registrar, 0);
    control_add(s->control, &part);
    while (!settled(&s->registrar))
        control_turn(s->control);
    if (!s->registrar.accepted)
        return strstr(s->registrar.said, "not reached") ? EXIT_NOT_REACHED : EXIT_REFUSED;
    printf("registered as %s at %s\n", s->auth.node_id, o->url);
    if (o->state_dir)
        printf("credentials: %s/nodes/%s.json\n", o->state_dir, o->node_name);
    puts("without heartbeats the directory forgets the node in about 90 s: taskgate serve sends them");
    return EXIT_OK;
}

static int register_as(const struct directory_options *o, uint32_t max_concurrent)
{
    static struct step s; /* large */
    int code = EXIT_FAILED;
    if (!o->url[0]) {
        fputs("taskgate register: no directory is configured: set --directory.url, or IICP_DIRECTORY_URL\n",
              stderr);
        return EXIT_REFUSED;
    }
    if (step_open(&s, o->url, o->timeout_ms)) {
        step_identify(&s, (struct auth_options){.state_dir = o->state_dir,
                                               .name = o->node_name,
                                               .node_id = o->node_id,
                                               .own_hmac_key = o->registration.node_hmac_key,
                                               .cx = o->cx});
        s.registration = o->registration;
        s.registration.max_concurrent = max_concurrent;
        s.registration.pricing = o->pricing;
        code = attempt(&s, o);
        registrar_stop(&s.registrar);
        auth_finish(&s.auth);
    }
    step_close(&s);
    return code;
}

int register_main(int argc, char **argv, char **envp, const struct register_node *node)
{
    struct options options = {.config_argc = 0};
    struct config config = {0};
    struct directory_options o;
    enum options_result read = options_read(&register_spec, argc, argv, &options);
    if (read != OPTIONS_GO)
        return read == OPTIONS_HELPED ? EXIT_OK : EXIT_USAGE;
    int code = options_config(&options, envp, &config);
    if (code == 0) {
        uint32_t max_concurrent = config.admission_max_concurrent;
        code = node->describe(node->context, &config, &o);
        if (code == EXIT_OK)
            code = register_as(&o, max_concurrent);
        node->forget(node->context);
    }
    config_finish(&config);
    return code;
}

/* ---- deregister -------------------------------------------------------------------------------------- */

static void deregistered(void *context, const struct call_reply *r)
{
    struct step *s = context;
    s->over = true;
    s->status = r->status;
    if (r->error)
        fprintf(stderr, "taskgate deregister: the directory is not reached: %s\n", r->why);
}

static int depart(struct step *s)
{
    char body[IICP_NODE_ID_MAX * 6 + 32];
    struct tg_json_writer w;
    tg_json_writer_init(&w, body, sizeof(body));
    iicp_write_deregistration((struct tg_str){s->auth.node_id, strlen(s->auth.node_id)}, &w);
    call_directory(
        &s->call, &s->link,
        &(struct call_request){
            .method = "DELETE", .url = "/v1/register", .token = s->auth.node_token, .body = {body, w.len}},
        deregistered, s);
    while (!s->over)
        control_turn(s->control);
    if (s->status == 200 || s->status == 204 || s->status == 404) {
        printf("%s at %s: %s\n", s->auth.node_id, s->link.url,
               s->status == 404 ? "was not registered" : "deregistered");
        return EXIT_OK;
    }
    if (s->status)
        fprintf(stderr, "taskgate deregister: the directory answered %u\n", s->status);
    return s->status ? EXIT_REFUSED : EXIT_NOT_REACHED;
}

static int depart_with_credentials(struct step *s, const struct config *c)
{
    int code = EXIT_REFUSED;
    step_identify(s, (struct auth_options){.state_dir = s->state_dir, .name = c->node_name, .node_id = c->node_id});
    if (s->auth.node_token[0])
        code = depart(s);
    else
        fputs("taskgate deregister: no credentials are kept for this node and directory\n", stderr);
    call_cancel(&s->call);
    auth_finish(&s->auth);
    return code;
}

/* A node that serves would come back with its next heartbeat. */
static int deregister(const struct config *c)
{
    static struct step s; /* large */
    int code = EXIT_FAILED;
    if (!c->directory_url[0]) {
        fputs("taskgate deregister: no directory is configured: set --directory.url, or IICP_DIRECTORY_URL\n",
              stderr);
        return EXIT_REFUSED;
    }
    if (!store_dir(c->node_state_dir, s.state_dir))
        s.state_dir[0] = '\0';
    int lock = auth_file_lock(s.state_dir, c->node_name);
    if (lock == -EBUSY) {
        fprintf(stderr, "taskgate deregister: a process serves as the node \"%s\": stop it, and it deregisters itself\n",
                c->node_name);
        return EXIT_REFUSED;
    }
    if (step_open(&s, c->directory_url, c->directory_timeout_ms))
        code = depart_with_credentials(&s, c);
    step_close(&s);
    if (lock >= 0)
        close(lock);
    return code;
}

int command_deregister(int argc, char **argv, char **envp)
{
    struct options options = {.config_argc = 0};
    struct config config = {0};
    enum options_result read = options_read(&deregister_spec, argc, argv, &options);
    if (read != OPTIONS_GO)
        return read == OPTIONS_HELPED ? EXIT_OK : EXIT_USAGE;
    int code = options_config(&options, envp, &config);
    if (code == 0)
        code = deregister(&config);
    config_finish(&config);
    return code;
}
