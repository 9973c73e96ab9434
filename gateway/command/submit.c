/* SPDX-License-Identifier: Apache-2.0 */
/* `taskgate submit`: flags, the payload from wherever it comes, and the exit status. */
#include "submit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#define PAYLOAD_BYTES_MAX (64u << 20)

#define AT(member) offsetof(struct submit, member)
static const struct option_row rows[] = {
    {"intent", OPTION_TEXT, AT(intent), 0, 0, "URN",
     "what is to be done, urn:iicp:intent:...; must be given"},
    {"file", OPTION_TEXT, AT(file), 0, 0, "PATH", "the payload, JSON; - is standard input"},
    {"url", OPTION_TEXT, AT(url), 0, 0, "URL", "the node's base address, instead of asking the directory"},
    {"node", OPTION_TEXT, AT(node), 0, 0, "ID", "only this node of those found"},
    {"qos", OPTION_TEXT, AT(qos), 0, 0, "CLASS", "realtime, interactive, batch or best-effort [interactive]"},
    {"model", OPTION_TEXT, AT(model), 0, 0, "NAME", "a node with this model, and the model to use"},
    {"region", OPTION_TEXT, AT(region), 0, 0, "NAME", "a node in this region"},
    {"timeout-ms", OPTION_NUMBER, AT(timeout_ms), 100, 300000, "MS", "time for the task [30000]"},
    {"retry-ms", OPTION_NUMBER, AT(retry_ms), 0, 3600000, "MS",
     "time for further attempts [30000]; 0 makes one"},
    {"task-id", OPTION_TEXT, AT(task_id), 0, 0, "ID", "the task's name [a new UUID for each attempt]"},
    {"cx", OPTION_BOOL, AT(cx), 0, 0, "", "confidential: sealed for the node's key, and so is the reply"},
    {"cx-key", OPTION_TEXT, AT(cx_key), 0, 0, "KEY",
     "the node's public key (43 characters), for --cx with --url"},
    {"token-file", OPTION_TEXT, AT(token_file), 0, 0, "PATH",
     "holds a token to show as Authorization: Bearer"},
    {"consumer-token-file", OPTION_TEXT, AT(consumer_token_file), 0, 0, "PATH",
     "holds a consumer token to show"},
    {"allow-private", OPTION_BOOL, AT(allow_private), 0, 0, "",
     "call loopback and private addresses that the directory names: for labs"},
    {"json", OPTION_BOOL, AT(json), 0, 0, "", "print the whole reply on one line, not only its result"},
    {"quiet", OPTION_BOOL, AT(quiet), 0, 0, "", "no words about progress"},
};
#undef AT

static const struct options_spec spec = {
    .command = "submit",
    .arguments = "--intent URN [PAYLOAD | --file PATH]",
    .about = "Sends a task and prints its result. The payload is JSON: the argument, a file, or standard "
             "input. Without\n"
             "--url, nodes come from the directory. Exit status: 0 done, 1 refused, 2 wrong flag or payload, "
             "3 no node,\n"
             "4 no answer, 5 busy, 6 the node failed, 7 out of time, 8 a reply that cannot be trusted.",
    .rows = rows,
    .row_count = TG_ARRAY_SIZE(rows),
    .words_max = 1,
};

void submit_say(const struct submit *s, const char *format, ...)
{
    va_list args;
    if (s->quiet)
        return;
    va_start(args, format);
    fputs("taskgate submit: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
}

static bool complain(const char *what, const char *why)
{
    fprintf(stderr, "taskgate submit: %s%s\n", what, why);
    return false;
}

/* ---- the payload ------------------------------------------------------------------------------------- */

static char *read_to_end(int fd, size_t *len)
{
    size_t room = 65536;
    char *text = malloc(room);
    ssize_t n = 1;
    for (*len = 0; text && n > 0 && *len <= PAYLOAD_BYTES_MAX;) {
        if (*len == room) {
            char *more = realloc(text, room *= 2);
            if (!more)
                free(text);
            text = more;
            continue;
        }
        n = read(fd, text + *len, room - *len);
        if (n < 0 && errno == EINTR)
            n = 1;
        else if (n > 0)
            *len += (size_t)n;
    }
    if (n >= 0 && text && *len <= PAYLOAD_BYTES_MAX)
        return text;
    free(text);
    return NULL;
}

static bool read_payload_file(const char *path, char **text, size_t *len)
{
    int fd = strcmp(path, "-") == 0 ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return complain("the payload cannot be read: ", strerror(errno));
    *text = read_to_end(fd, len);
    if (fd != STDIN_FILENO)
        close(fd);
    return *text || complain("the payload cannot be read, or is over 64 MiB", "");
}

static bool check_payload(const char *text, size_t len)
{
    struct tg_json_error err = {0};
    size_t room = TG_JSON_NODES_MAX(len);
    struct tg_json_doc doc = {.nodes = malloc(room * sizeof(struct tg_json_node)),
                              .capacity = (uint32_t)room};
    int rc = doc.nodes ? tg_json_parse(&doc, text, len, &err) : -ENOMEM;
    free(doc.nodes);
    if (rc < 0)
        fprintf(stderr, "taskgate submit: the payload is no JSON: %s, at byte %u\n",
                err.message ? err.message : "out of memory", err.offset);
    return rc == 0;
}

/* @text is to be freed. */
static bool get_payload(struct submit *s, char **text)
{
    const char *word = s->options.word_count ? s->options.words[0] : NULL;
    size_t len = 0;
    if (word && s->file)
        return complain("a payload as an argument and --file: which of them?", "");
    if (!word && !s->file && isatty(STDIN_FILENO))
        return complain("no payload: give it as an argument, by --file, or on standard input", "");
    if (word && strcmp(word, "-") != 0) {
        *text = strdup(word);
        len = strlen(word);
    } else if (!read_payload_file(s->file ? s->file : "-", text, &len)) {
        return false;
    }
    s->payload = (struct tg_str){*text, len};
    return *text && check_payload(*text, len);
}

/* ---- the command ------------------------------------------------------------------------------------- */

static bool sound(const struct submit *s)
{
    if (!s->intent)
        return complain("--intent must be given", "");
    if (strlen(s->intent) > IICP_CX_INTENT_MAX || (s->task_id && strlen(s->task_id) > IICP_CX_TASK_ID_MAX))
        return complain("--intent or --task-id is too long", "");
    if (s->url && s->node)
        return complain("--url and --node: which of them?", "");
    if (s->url && s->cx && !s->cx_key)
        return complain("--cx with --url needs the node's key: --cx-key", "");
    return !s->cx_key || s->cx || complain("--cx-key is for --cx", "");
}

static int submit(const struct submit *s, const struct config *config)
{
    static struct submit_targets targets; /* large */
    struct client *client = client_create(COMMAND_AGENT);
    struct crypto *crypto = crypto_create();
    int code = EXIT_FAILED;
    if (client && crypto) {
        code = (int)submit_find(s, config, client, crypto, &targets);
        if (code == SUBMIT_DONE)
            code = (int)submit_send(s, client, crypto, &targets);
    } else {
        complain("out of memory", "");
    }
    crypto_destroy(crypto);
    client_destroy(client);
    return code;
}

int command_submit(int argc, char **argv, char **envp)
{
    struct submit s = {.qos = "interactive", .timeout_ms = 30000, .retry_ms = 30000};
    const char *lab = getenv("IICP_PROXY_ALLOW_LOOPBACK_NODES");
    struct config config = {0};
    char *payload = NULL;
    s.allow_private = lab && strcmp(lab, "1") == 0;
    enum options_result read = options_read(&spec, argc, argv, &s.options);
    if (read != OPTIONS_GO)
        return read == OPTIONS_HELPED ? EXIT_OK : EXIT_USAGE;
    int code = sound(&s) && get_payload(&s, &payload) ? 0 : EXIT_USAGE;
    if (code == 0)
        code = options_config(&s.options, envp, &config);
    if (code == 0)
        code = submit(&s, &config);
    config_finish(&config);
    free(payload);
    return code;
}
