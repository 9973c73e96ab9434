/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Our parser against jansson: each file of the given folder and some thousand mutations of it must be
 * accepted by both or by neither, and then mean the same. Differences that are not errors, and are therefore
 * stepped round:
 * - we refuse nesting beyond TG_JSON_DEPTH_MAX, jansson beyond 2,048: such texts are skipped;
 * - jansson refuses U+0000 in names: such texts are skipped;
 * - jansson refuses integers beyond int64: it is asked to read integers as reals, and values compare as
 * doubles;
 * - of equal names jansson keeps the last: objects are compared through their last member of each name.
 */
#include <ftw.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include "tg/json.h"

#define TEXT_MAX 4096
#define MUTATIONS 2000
#define OPEN_FOLDERS_MAX 8

static char text[TEXT_MAX];
static struct tg_json_node nodes[TG_JSON_NODES_MAX(TEXT_MAX)];
static size_t compared, accepted;

static uint32_t next_random(void)
{
    static uint64_t state = 88172645463325252u;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 32);
}

static bool same_value(const struct tg_json_doc *doc, const struct tg_json_node *n, const json_t *other);

static bool same_string(const struct tg_json_doc *doc, const struct tg_json_node *n, const json_t *other)
{
    return json_is_string(other) &&
           tg_json_string_eq(doc, n, (struct tg_str){json_string_value(other), json_string_length(other)});
}

static bool same_number(const struct tg_json_node *n, const json_t *other)
{
    double a = tg_json_number(n), b = json_number_value(other);
    return json_is_number(other) && (memcmp(&a, &b, sizeof(a)) == 0 || (json_is_integer(other) && a == b));
}

static bool same_array(const struct tg_json_doc *doc, const struct tg_json_node *n, const json_t *other)
{
    size_t i = 0;
    if (!json_is_array(other) || json_array_size(other) != tg_json_count(n))
        return false;
    TG_JSON_FOREACH(it, n)
    {
        if (!same_value(doc, it, json_array_get(other, i++)))
            return false;
    }
    return true;
}

static const struct tg_json_node *last_member(const struct tg_json_doc *doc, const struct tg_json_node *n,
                                              struct tg_str name)
{
    const struct tg_json_node *found = NULL;
    TG_JSON_FOREACH_MEMBER(key, n)
    {
        if (tg_json_string_eq(doc, key, name))
            found = key + 1;
    }
    return found;
}

/* Every name of theirs is ours with the same value, and every name of ours is theirs. */
static bool same_object(const struct tg_json_doc *doc, const struct tg_json_node *n, json_t *other)
{
    const char *name;
    json_t *value;
    char out[TEXT_MAX];
    if (!json_is_object(other))
        return false;
    json_object_foreach(other, name, value)
    {
        const struct tg_json_node *mine = last_member(doc, n, (struct tg_str){name, strlen(name)});
        if (!mine || !same_value(doc, mine, value))
            return false;
    }
    TG_JSON_FOREACH_MEMBER(key, n)
    {
        int64_t len = tg_json_unescape(doc, key, out, sizeof(out) - 1);
        out[len] = '\0';
        if (!json_object_get(other, out))
            return false;
    }
    return true;
}

static bool same_value(const struct tg_json_doc *doc, const struct tg_json_node *n, const json_t *other)
{
    switch (n->type) {
    case TG_JSON_NULL:
        return json_is_null(other);
    case TG_JSON_FALSE:
        return json_is_false(other);
    case TG_JSON_TRUE:
        return json_is_true(other);
    case TG_JSON_STRING:
        return same_string(doc, n, other);
    case TG_JSON_ARRAY:
        return same_array(doc, n, other);
    case TG_JSON_OBJECT:
        return same_object(doc, n, (json_t *)(uintptr_t)other);
    default:
        return same_number(n, other);
    }
}

static void report(const char *path, size_t len, const char *what)
{
    fprintf(stderr, "%s: %s:\n", path, what);
    fwrite(text, 1, len, stderr);
    fputc('\n', stderr);
    exit(1);
}

static bool is_known_difference(int status, const struct tg_json_error *mine, const json_error_t *theirs)
{
    return (status != 0 && strcmp(mine->message, "nested too deeply") == 0) ||
           json_error_code(theirs) == json_error_null_byte_in_key;
}

static void compare(const char *path, size_t len)
{
    struct tg_json_error mine;
    json_error_t theirs;
    memset(&theirs, 0, sizeof(theirs));
    struct tg_json_doc doc = {.nodes = nodes, .capacity = TG_ARRAY_SIZE(nodes)};
    int status = tg_json_parse(&doc, text, len, &mine);
    json_t *root = json_loadb(text, len, JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &theirs);
    if (!(root == NULL && is_known_difference(status, &mine, &theirs)) &&
        !(status != 0 && is_known_difference(status, &mine, &theirs))) {
        if ((status == 0) != (root != NULL))
            report(path, len, status == 0 ? theirs.text : mine.message);
        if (root && !same_value(&doc, doc.nodes, root))
            report(path, len, "read differently");
        compared++;
        accepted += root != NULL;
    }
    json_decref(root);
}

/* Replace, drop, double or insert a few bytes, mostly ones that mean something to JSON. */
static size_t mutate(const char *seed, size_t len)
{
    static const char alphabet[] = "[]{}:,\"\\ue+-.0123456789 \n\ttfn\x01\x80\xc3\xa9\xed\xa0\xf0\x9f";
    memcpy(text, seed, len);
    for (unsigned edits = 1 + next_random() % 3; edits > 0 && len > 0; edits--) {
        size_t at = next_random() % len;
        char c = alphabet[next_random() % (sizeof(alphabet) - 1)];
        unsigned kind = next_random() % 4;
        if (kind == 0) {
            memmove(text + at, text + at + 1, len - at - 1);
            len--;
        } else if (kind == 1 && len < TEXT_MAX) {
            memmove(text + at + 1, text + at, len - at);
            len++;
        }
        if (kind != 0)
            text[at] = kind == 3 ? text[next_random() % len] : c;
    }
    return len;
}

static int compare_file(const char *path, const struct stat *info, int kind, struct FTW *where)
{
    char seed[TEXT_MAX];
    (void)where;
    if (kind != FTW_F || info->st_size >= TEXT_MAX)
        return 0;
    FILE *file = fopen(path, "rb");
    if (!file)
        return -1;
    size_t len = fread(seed, 1, sizeof(seed), file);
    fclose(file);
    memcpy(text, seed, len);
    compare(path, len);
    for (int i = 0; i < MUTATIONS; i++)
        compare(path, mutate(seed, len));
    return 0;
}

int main(int argc, char **argv)
{
    if (argc != 2 || nftw(argv[1], compare_file, OPEN_FOLDERS_MAX, FTW_PHYS) != 0) {
        fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return 1;
    }
    printf("%zu texts compared, %zu of them accepted by both\n", compared, accepted);
    return accepted == 0 || accepted == compared;
}
