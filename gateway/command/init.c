/* SPDX-License-Identifier: Apache-2.0 */
/* `taskgate init`: a node's first configuration, from flags or from a few questions. */
#include "init.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "envelope.h"
#include "gateway/control/store.h"

#define AT(member) offsetof(struct init, member)
static const struct option_row rows[] = {
    {"output", OPTION_TEXT, AT(output), 0, 0, "PATH", "the configuration's file [taskgate.toml]"},
    {"node-id", OPTION_TEXT, AT(node_id), 0, 0, "ID", "[a new UUID]"},
    {"name", OPTION_TEXT, AT(name), 0, 0, "NAME", "of this node's files, node.name [default]"},
    {"region", OPTION_TEXT, AT(region), 0, 0, "NAME", "told to directories [unknown]"},
    {"model", OPTION_TEXT, AT(model), 0, 0, "NAME", "told to clients [none]"},
    {"listen", OPTION_TEXT, AT(listen), 0, 0, "ADDRESS", "where to listen [127.0.0.1:9484]"},
    {"directory", OPTION_TEXT, AT(directory), 0, 0, "URL", "where to register [nowhere]"},
    {"endpoint", OPTION_TEXT, AT(endpoint), 0, 0, "URL", "the address under which others reach this node"},
    {"lab", OPTION_BOOL, AT(lab), 0, 0, "", "register loopback and private addresses too"},
    {"backend-url", OPTION_TEXT, AT(backend), 0, 0, "URL", "a model server to watch [none]"},
    {"state-dir", OPTION_TEXT, AT(state_dir), 0, 0, "PATH",
     "for credentials and keys [$STATE_DIRECTORY, else ~/.iicp]"},
    {"no-cx", OPTION_BOOL, AT(no_cx), 0, 0, "", "no key, no confidential tasks"},
    {"force", OPTION_BOOL, AT(force), 0, 0, "", "replace a configuration that is there; never a key"},
    {"yes", OPTION_BOOL, AT(yes), 0, 0, "", "ask nothing, also on a terminal"},
};
#undef AT

static const struct options_spec spec = {
    .command = "init",
    .arguments = "[flags]",
    .about = "Writes a commented configuration and this node's key for confidential tasks. On a terminal it "
             "asks for what no\n"
             "flag says. Exit status: 0 written, 1 not (something is there already, or cannot be written), 2 "
             "wrong flag,\n"
             "78 the configuration would be wrong.",
    .rows = rows,
    .row_count = TG_ARRAY_SIZE(rows),
    .no_config = true,
};

/* ---- questions --------------------------------------------------------------------------------------- */

#define LINE_BYTES 1024

static const struct question {
    size_t offset;
    const char *words;
} questions[] = {
    {offsetof(struct init, listen), "Listen on"},
    {offsetof(struct init, region), "Region"},
    {offsetof(struct init, model), "Model told to clients"},
    {offsetof(struct init, directory), "Directory, such as https://iicp.network/api"},
    {offsetof(struct init, endpoint), "Address under which others reach this node"},
};

/* The answer, in @line, or the fallback if there is none. */
static const char *ask_line(const char *words, const char *fallback, char line[static LINE_BYTES])
{
    fprintf(stderr, "%s [%s]: ", words, fallback && fallback[0] ? fallback : "none");
    if (!fgets(line, LINE_BYTES, stdin))
        return fallback;
    line[strcspn(line, "\r\n")] = '\0';
    return line[0] ? line : fallback;
}

static void ask_all(struct init *in, const struct init *given)
{
    static char lines[TG_ARRAY_SIZE(questions)][LINE_BYTES]; /* @in refers to them */
    for (size_t i = 0; i < TG_ARRAY_SIZE(questions); i++) {
        const char **answer = (const char **)((char *)in + questions[i].offset);
        bool endpoint_of_none = answer == &in->endpoint && !in->directory[0];
        if (!*(const char *const *)((const char *)given + questions[i].offset) && !endpoint_of_none)
            *answer = ask_line(questions[i].words, *answer, lines[i]);
    }
}

/* ---- the command ------------------------------------------------------------------------------------- */

static void fill(const char **member, const char *fallback)
{
    if (!*member)
        *member = fallback;
}

static void defaults(struct init *in, char uuid[static ENVELOPE_ID_BYTES])
{
    envelope_uuid(uuid);
    fill(&in->output, "taskgate.toml");
    fill(&in->node_id, uuid);
    fill(&in->name, "default");
    fill(&in->region, "unknown");
    fill(&in->model, "");
    fill(&in->listen, "127.0.0.1:9484");
    fill(&in->directory, "");
    fill(&in->endpoint, "");
    fill(&in->state_dir, "");
    fill(&in->backend, "");
}

/* Where a listener on all addresses is found by who stands beside it. */
static bool on_all_addresses(const char *listen)
{
    return listen[0] == ':' || strncmp(listen, "0.0.0.0:", 8) == 0 || strncmp(listen, "[::]:", 5) == 0;
}

static void next_steps(const struct init *in)
{
    bool all = on_all_addresses(in->listen);
    printf("\nnext:\n"
           "  taskgate doctor --config %s      look at this host\n"
           "  taskgate serve --config %s       serve%s\n"
           "  curl -s http://%s%s/iicp/health\n",
           in->output, in->output, in->directory[0] ? ", and register" : "", all ? "127.0.0.1" : "",
           all ? strrchr(in->listen, ':') : in->listen);
    if (in->directory[0] && !in->endpoint[0] && !in->lab)
        puts("directory.public_endpoint is not set: until it is, the node cannot be registered");
}

static int write_all(const struct init *in)
{
    char key_path[STORE_PATH_MAX] = "", key_id[64] = "";
    size_t len = 0;
    bool made = false;
    char *text = init_text(in, &len);
    int code = text ? init_install(in, text, len) : EXIT_FAILED;
    free(text);
    if (code == EXIT_OK && !in->no_cx)
        code = init_key(in, key_path, key_id, sizeof(key_id), &made);
    if (code != EXIT_OK)
        return code;
    printf("configuration: %s\nnode id:       %s\n", in->output, in->node_id);
    if (key_id[0])
        printf("key:           %s, %s%s\n", key_id, key_path,
               made ? " (keep it: directories remember it)" : " (was there, kept)");
    next_steps(in);
    return EXIT_OK;
}

int command_init(int argc, char **argv, char **envp)
{
    struct init in = {.force = false};
    char uuid[ENVELOPE_ID_BYTES];
    (void)envp;
    enum options_result read = options_read(&spec, argc, argv, &in.options);
    if (read != OPTIONS_GO)
        return read == OPTIONS_HELPED ? EXIT_OK : EXIT_USAGE;
    struct init given = in;
    defaults(&in, uuid);
    if (!in.force && access(in.output, F_OK) == 0) { /* before anybody answers questions in vain */
        fprintf(stderr, "taskgate init: %s is there already; --force replaces it\n", in.output);
        return EXIT_FAILED;
    }
    if (!in.yes && isatty(STDIN_FILENO))
        ask_all(&in, &given);
    return write_all(&in);
}
