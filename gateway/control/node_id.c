/* SPDX-License-Identifier: Apache-2.0 */
/* nodes/NAME.id: one line of text. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "gateway/base/log.h"
#include "gateway/base/random.h"
#include "node_id.h"
#include "store.h"

#define HOST_BYTES_MAX (NODE_ID_BYTES_MAX - 9) /* a dash and 8 digits follow */

static bool is_alnum(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* As directories want it: [a-zA-Z0-9][a-zA-Z0-9._:-]* */
static bool is_id(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!is_alnum(text[i]) && (i == 0 || !strchr("._:-", text[i]) || !text[i]))
            return false;
    return len > 0 && len <= NODE_ID_BYTES_MAX;
}

static int make(const char *path, const char *host, char out[static NODE_ID_BYTES_MAX + 1])
{
    struct random_state random;
    size_t len = strnlen(host, HOST_BYTES_MAX);
    bool good = is_id(host, len);
    random_seed(&random);
    (void)snprintf(out, NODE_ID_BYTES_MAX + 1, "%.*s-%08x", good ? (int)len : 4, good ? host : "node",
                   (uint32_t)(random_u64(&random) >> 32));
    int rc = store_make_parent(path);
    if (rc == 0)
        rc = store_write(path, (struct tg_str){out, strlen(out)});
    if (rc == 0)
        log_info("node.id is not set: this node is %s from now on (%s)", out, path);
    return rc;
}

int node_id_load(const char *state_dir, const char *name, const char *host, char out[static NODE_ID_BYTES_MAX + 1])
{
    char path[STORE_PATH_MAX], text[NODE_ID_BYTES_MAX + 1];
    int n = state_dir[0] ? snprintf(path, sizeof(path), "%s/nodes/%s.id", state_dir, name) : 0;
    if (n <= 0 || n >= (int)sizeof(path))
        return -ENOENT;
    int64_t len = store_read(path, false, text, sizeof(text));
    if (len == -ENOENT)
        return make(path, host, out);
    while (len > 0 && text[len - 1] == '\n')
        len--; /* an editor's */
    if (len < 0 || !is_id(text, (size_t)len))
        return len < 0 ? (int)len : -EBADMSG;
    memcpy(out, text, (size_t)len);
    out[len] = '\0';
    return 0;
}
