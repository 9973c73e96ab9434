/* SPDX-License-Identifier: Apache-2.0 */
/* Where the key for confidential tasks lies, and what happens on the first start. */
#include <errno.h>
#include <stdio.h>
#include "cx_key.h"

int cx_key_path(struct crypto *c, const char *key_dir, const char *state_dir, const char *node_id,
                char out[static STORE_PATH_MAX])
{
    char name[IICP_CX_FILE_NAME_BYTES + 1];
    bool own = key_dir && key_dir[0];
    if (!own && (!state_dir || !state_dir[0]))
        return -ENOENT;
    int rc = iicp_cx_file_name(c, (struct tg_str){node_id, strlen(node_id)}, name);
    if (rc < 0)
        return rc;
    int n = snprintf(out, STORE_PATH_MAX, "%s%s/%s", own ? key_dir : state_dir, own ? "" : "/cx", name);
    return n > 0 && n < STORE_PATH_MAX ? 0 : -ENAMETOOLONG;
}

static int make(struct crypto *c, const char *path, struct iicp_keys *keys)
{
    char text[IICP_CX_FILE_BYTES_MAX];
    struct tg_json_writer w;
    int rc = iicp_cx_key_generate(c, keys);
    if (rc < 0)
        return rc;
    tg_json_writer_init(&w, text, sizeof(text));
    iicp_cx_key_write(keys, &w);
    rc = store_make_parent(path);
    if (rc == 0)
        rc = store_write(path, (struct tg_str){text, w.len});
    crypto_wipe(text, sizeof(text));
    return rc;
}

int cx_key_load(struct crypto *c, const char *key_dir, const char *state_dir, const char *node_id,
                struct iicp_keys *keys, const char **why)
{
    char path[STORE_PATH_MAX], text[IICP_CX_FILE_BYTES_MAX];
    *why = "there is no folder to keep the key in";
    int rc = cx_key_path(c, key_dir, state_dir, node_id, path);
    if (rc < 0)
        return rc;
    *why = "others can read the key file; chmod 0600 it";
    if (store_exposed(path))
        return -EKEYREJECTED;
    int64_t len = store_read(path, true, text, sizeof(text));
    *why = "the key file cannot be read";
    if (len >= 0) {
        *why = "the key file is damaged";
        rc = iicp_cx_key_read(c, keys, (struct tg_str){text, (size_t)len});
    } else if (len == -ENOENT) {
        *why = "a key cannot be made and kept";
        rc = make(c, path, keys);
    } else {
        rc = (int)len;
    }
    crypto_wipe(text, sizeof(text));
    return rc;
}
