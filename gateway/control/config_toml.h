/* SPDX-License-Identifier: Apache-2.0 */
/* TOML text as a flat list of entries. The one door to C++: nothing of it shows here. */
#ifndef CONFIG_TOML_H
#define CONFIG_TOML_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

enum config_toml_type {
    CONFIG_TOML_STRING,
    CONFIG_TOML_INTEGER,
    CONFIG_TOML_FLOAT,
    CONFIG_TOML_BOOLEAN,
    CONFIG_TOML_DATE,
    CONFIG_TOML_ARRAY, /* of strings, numbers and the like; CONFIG_TOML_JOINT stands between them */
    CONFIG_TOML_TABLE, /* comes before what is in it; no text */
    CONFIG_TOML_BAD,   /* cannot be told as plain text; the text says what it holds */
};

#define CONFIG_TOML_JOINT '\x1f' /* no item holds it */

struct config_toml_entry {
    const char *key; /* dotted; a part that is no bare TOML key stands in quotes */
    const char *text;
    enum config_toml_type type;
    int line;
};

struct config_toml_error {
    int line, column;
    char what[200];
};

typedef void (*config_toml_visit)(void *arg, const struct config_toml_entry *entry);

/**
 * Parse TOML 1.0 and call @visit for every table and value in the order of the text.
 * The entry's strings live until @visit returns.
 * Returns 0, -EINVAL with @error filled (nothing was visited), -ENOMEM.
 */
int config_toml_parse(const char *text, size_t len, config_toml_visit visit, void *arg,
                      struct config_toml_error *error);

#ifdef __cplusplus
}
#endif

#endif
