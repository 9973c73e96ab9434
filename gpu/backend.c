/* SPDX-License-Identifier: Apache-2.0 */
/* The backends this binary carries, by name. */
#include <string.h>
#include "backend.h"

static const struct tg_backend *const backends[] = {
    &tg_backend_cpu,
    &tg_backend_null,
    &tg_backend_fault,
    &tg_backend_cuda,
};

const struct tg_backend *tg_backend_find(const char *name)
{
    for (size_t i = 0; i < TG_ARRAY_SIZE(backends); i++)
        if (strcmp(backends[i]->name, name) == 0)
            return backends[i];
    return NULL;
}
