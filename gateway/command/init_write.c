/* SPDX-License-Identifier: Apache-2.0 */
/* What init leaves behind: a file that the loader takes, and a key. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "gateway/control/store.h"
#include "gateway/dialect/iicp_cx.h"
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

static int key_path(const struct init *in, struct crypto *crypto, char *path, size_t cap)
{
    char folder[STORE_PATH_MAX], name[IICP_CX_FILE_NAME_BYTES + 1];
    const char *home = getenv("IICP_HOME"), *keys = getenv("IICP_CX_KEY_DIR"); /* as serve reads them */
    if (!store_dir(in->state_dir[0] ? in->state_dir : home, folder))
        return -ENOENT;
    int rc = iicp_cx_file_name(crypto, (struct tg_str){in->node_id, strlen(in->node_id)}, name);
    int n = keys && keys[0] ? snprintf(path, cap, "%s/%s", keys, name)
                            : snprintf(path, cap, "%s/cx/%s", folder, name);
    return rc < 0 ? rc : n < (int)cap ? 0 : -ENAMETOOLONG;
}

static int read_key(struct crypto *crypto, const char *path, struct iicp_keys *keys)
{
    char file[IICP_CX_FILE_BYTES_MAX];
    int64_t len = store_read(path, true, file, sizeof(file));
    int rc = len < 0 ? (int)len : iicp_cx_key_read(crypto, keys, (struct tg_str){file, (size_t)len});
    crypto_wipe(file, sizeof(file));
    return rc;
}

static int make_key(struct crypto *crypto, const char *path, struct iicp_keys *keys)
{
    char file[IICP_CX_FILE_BYTES_MAX];
    struct tg_json_writer w;
    int rc = iicp_cx_key_generate(crypto, keys);
    if (rc < 0)
        return rc;
    tg_json_writer_init(&w, file, sizeof(file));
    iicp_cx_key_write(keys, &w);
    rc = store_make_parent(path);
    if (rc == 0)
        rc = store_write(path, (struct tg_str){file, w.len});
    crypto_wipe(file, sizeof(file));
    return rc;
}

/* A key that cannot be read is never replaced: directories refuse a node that changes it. */
int init_key(const struct init *in, char *path, size_t cap, char *key_id, size_t key_id_cap, bool *made)
{
    struct crypto *crypto = crypto_create();
    struct iicp_keys keys = {.has_cx = false};
    int rc = crypto ? key_path(in, crypto, path, cap) : -ENOMEM;
    if (rc == 0) {
        rc = read_key(crypto, path, &keys);
        *made = rc == -ENOENT;
        if (*made)
            rc = make_key(crypto, path, &keys);
    }
    if (rc == 0)
        snprintf(key_id, key_id_cap, "%s", keys.cx_key_id);
    crypto_wipe(&keys, sizeof(keys));
    crypto_destroy(crypto);
    return rc == 0 ? EXIT_OK : failed(path, rc);
}
