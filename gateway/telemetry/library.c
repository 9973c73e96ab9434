/* SPDX-License-Identifier: Apache-2.0 */
/* Finding the functions of calls.def. */
#include "library.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { OPTIONAL, NEEDED };

static const struct {
    const char *symbol;
    size_t offset;
    int wanted;
} calls[] = {
#define CALL(ident, symbol, wanted, parameters) {symbol, offsetof(struct nvml, ident), wanted},
#include "calls.def"
#undef CALL
};

/* A pointer to data becomes one to a function, which C leaves to POSIX: its bytes are copied. */
static const char *find_all(struct nvml *n)
{
    const char *missing = NULL;
    for (size_t i = 0; i < TG_ARRAY_SIZE(calls); i++) {
        void *found = dlsym(n->handle, calls[i].symbol);
        memcpy((char *)n + calls[i].offset, &found, sizeof(found));
        if (!found && calls[i].wanted == NEEDED)
            missing = calls[i].symbol;
    }
    return missing;
}

int nvml_load(const char *path, struct nvml *out, char *why, size_t cap)
{
    struct nvml n = {.handle = dlopen(path, RTLD_NOW | RTLD_LOCAL)};
    if (!n.handle) {
        const char *text = dlerror();
        snprintf(why, cap, "%s", text ? text : path);
        return -ENOENT;
    }
    const char *missing = find_all(&n);
    if (missing) {
        snprintf(why, cap, "%s has no %s", path, missing);
        nvml_unload(&n);
        return -EINVAL;
    }
    *out = n;
    return 0;
}

void nvml_unload(struct nvml *n)
{
    if (n->handle)
        dlclose(n->handle);
    n->handle = NULL;
}

const char *nvml_reason(int rc)
{
    switch (rc) {
    case NVML_NOT_SUPPORTED:
        return "not supported";
    case NVML_NO_PERMISSION:
        return "no permission";
    case NVML_DRIVER_NOT_LOADED:
        return "no driver is loaded";
    case NVML_GPU_IS_LOST:
        return "the GPU is lost";
    case NVML_MISMATCH:
        return "library and driver are of different versions";
    case NVML_NO_FUNCTION:
        return "the library is too old";
    default:
        return "unexpected error";
    }
}
