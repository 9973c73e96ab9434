/* SPDX-License-Identifier: Apache-2.0 */
/* What init leaves behind: a file that the loader takes, and a key. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "gateway/control/cx_key.h"
#include "init.h"

/* ---- the text ---------------------------------------------------------------------------------------- */

/* A TOML basic string is a JSON string, as far as what may stand in a configuration goes. */
static void put(FILE *out, const char *key, const char *value, const char *comment)
{
    fprintf(out, "%s%s = \"", value[0] ? "" : "# ", key);
    for (const char *p = value; *p; p++) {
        if (*p == '"' || *p == '\\')
            fputc('\\', out);
        fputc(*p, out);
    }
    fprintf(out, "\"  # %s\n", comment);
}

static void write_sections(FILE *out, const struct init *in)
{
    fputs("# Written by `taskgate init`. Every key, with its default: taskgate serve --print-example.\n"
          "# taskgate serve --check-config --config THIS_FILE says what is wrong with it.\n\n[server]\n",
          out);
    fprintf(out, "listen = [\"%s\"]  # :9484 serves on all addresses\n", in->listen);
    fputs("\n[node]\n", out);
    put(out, "id", in->node_id, "keep it: reputation and key belong to it");
    put(out, "name", in->name, "of this node's files in the state folder");
    put(out, "region", in->region, "told to directories and in health");
    put(out, "model", in->model, "model name told to clients");
    put(out, "state_dir", in->state_dir, "credentials and keys; else $STATE_DIRECTORY, else ~/.iicp");
    fputs("\n[directory]\n", out);
    put(out, "url", in->directory, "without one, this node registers nowhere");
    put(out, "public_endpoint", in->endpoint,
        "how others reach this node, such as https://node.example.net:9484");
    fprintf(out, "allow_private = %s  # for labs: register loopback and private addresses too\n",
            in->lab ? "true" : "false");
    fputs("\n[backend]\n", out);
    put(out, "url", in->backend, "a model server behind this node, watched for models and state");
    fprintf(out, "\n[cx]\nmode = \"%s\"  # confidential tasks, encrypted to this node's key\n",
            in->no_cx ? "off" : "on");
    fputs("\n[auth]\nmode = \"open\"  # optional checks credentials that are shown, required asks for them\n"
          "\n[admission]\nmax_concurrent = 64  # tasks accepted and not yet answered\n"
          "\n# What is served: one table each. docs/runners.md has the runners, and how to write one.\n"
          "[runner.echo]\ntype = \"echo\"\n\n[runner.digits]\ntype = \"knn\"\ndata = \"builtin:digits\"\n",
          out);
}

char *init_text(const struct init *in, size_t *len)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, len);
    if (!out)
        return NULL;
    write_sections(out, in);
    if (fclose(out) == 0)
        return text;
    free(text);
    return NULL;
}

/* ---- the file ---------------------------------------------------------------------------------------- */

static int failed(const char *path, int rc)
{
    fprintf(stderr, "taskgate init: %s: %s\n", path, strerror(-rc));
    return EXIT_FAILED;
}

/* No secret is in it, and a service's user must be able to read it. */
static int write_file(const char *path, const char *text, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0)
        return -errno;
    ssize_t n = write(fd, text, len);
    int rc = n == (ssize_t)len && fsync(fd) == 0 ? 0 : n < 0 ? -errno : -EIO;
    close(fd);
    if (rc < 0)
        unlink(path);
    return rc;
}

/* The loader has the last word about flags: nothing is left behind that it refuses. */
static int check(const char *path)
{
    char flag[] = "--config", *argv[] = {flag, (char *)(uintptr_t)path};
    struct config config = {0};
    struct config_report report = {0};
    int rc = config_load(&config, 2, argv, NULL, &report);
    config_report_print(&report, stderr);
    config_report_finish(&report);
    config_finish(&config);
    return rc < 0 ? EXIT_CONFIG : EXIT_OK;
}

/* link() does not replace, rename() does. */
static int move(const struct init *in, const char *from)
{
    int rc = (in->force ? rename(from, in->output) : link(from, in->output)) < 0 ? -errno : 0;
    unlink(from);
    if (rc == -EEXIST)
        fprintf(stderr, "taskgate init: %s is there already; --force replaces it\n", in->output);
    return rc == 0 ? EXIT_OK : rc == -EEXIST ? EXIT_FAILED : failed(in->output, rc);
}

int init_install(const struct init *in, const char *text, size_t len)
{
    char temporary[STORE_PATH_MAX];
    snprintf(temporary, sizeof(temporary), "%s.%d", in->output, (int)getpid());
    int rc = write_file(temporary, text, len);
    if (rc < 0)
        return failed(in->output, rc);
    int code = check(temporary);
    if (code == EXIT_OK)
        return move(in, temporary);
    unlink(temporary);
    return code;
}

/* ---- the key ----------------------------------------------------------------------------------------- */

/* Where, and how, serve would make it. */
static int load_key(const struct init *in, struct crypto *crypto, char path[static STORE_PATH_MAX],
                    struct iicp_keys *keys, bool *made, const char **why)
{
    char folder[STORE_PATH_MAX];
    const char *home = getenv("IICP_HOME"), *key_dir = getenv("IICP_CX_KEY_DIR"); /* as serve reads them */
    if (!store_dir(in->state_dir[0] ? in->state_dir : home, folder))
        folder[0] = '\0';
    *why = "there is no folder to keep the key in";
    int rc = cx_key_path(crypto, key_dir, folder, in->node_id, path);
    if (rc < 0)
        return rc;
    *made = access(path, F_OK) < 0;
    return cx_key_load(crypto, key_dir, folder, in->node_id, keys, why);
}

int init_key(const struct init *in, char path[static STORE_PATH_MAX], char *key_id, size_t key_id_cap, bool *made)
{
    struct crypto *crypto = crypto_create();
    struct iicp_keys keys = {.has_cx = false};
    const char *why = "out of memory";
    path[0] = '\0';
    int rc = crypto ? load_key(in, crypto, path, &keys, made, &why) : -ENOMEM;
    if (rc == 0)
        snprintf(key_id, key_id_cap, "%s", keys.cx_key_id);
    else
        fprintf(stderr, "taskgate init: %s%s%s (%s)\n", path, path[0] ? ": " : "", why, strerror(-rc));
    crypto_wipe(&keys, sizeof(keys));
    crypto_destroy(crypto);
    return rc == 0 ? EXIT_OK : EXIT_FAILED;
}
